"""Waits until processes are ready, and gives up on one that keeps dying."""

import time
from collections.abc import Callable, Sequence

from kotaemon_node.local import probes
from kotaemon_node.local.balancer import pods_in_use
from kotaemon_node.local.cluster import Cluster
from kotaemon_node.local.errors import StartFailed
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.supervisor import ProcessInfo, Supervisor

POLL_S = 0.1
POLL_LATER_S = 0.5
"""Of what takes long anyway: looking more often would take from it."""
_SOON_S = 10.0
START_S = 180.0
"""Without any progress. A first start indexes the knowledge folder, however large."""
DEATHS_MAX = 3
"""A process that died so often while starting will not come up by itself."""

Progress = Callable[[str, str], None]
"""Told (process, what happens to it now) at every change."""


class Deaths:
    """Counts how often each process ended while it was watched."""

    def __init__(self) -> None:
        self._last_pid: dict[str, int] = {}
        self._count: dict[str, int] = {}

    def saw(self, info: ProcessInfo) -> int:
        """Take note of a process and return how often it ended so far."""
        last = self._last_pid.get(info.name, 0)
        pid = info.pid if info.up else 0
        if last and pid != last:
            self._count[info.name] = self._count.get(info.name, 0) + 1
        self._last_pid[info.name] = pid
        return self._count.get(info.name, 0)


class Advance:
    """Tells a start that takes long from one that is stuck."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._begun_s = self._since_s = now_s()
        self._read = ""

    def made(self) -> None:
        """Take note that something got on."""
        self._since_s = self._now_s()

    def read(self, how_far: str) -> bool:
        """Take note of how far a folder was read; True where that is further than before."""
        if not how_far or how_far == self._read:
            return False
        self._read = how_far
        self.made()
        return True

    @property
    def stuck(self) -> bool:
        """Nothing got on for ``START_S``."""
        return self._now_s() - self._since_s > START_S

    @property
    def pause_s(self) -> float:
        """How long to wait before the next look."""
        return POLL_S if self._now_s() - self._begun_s < _SOON_S else POLL_LATER_S


def wait_ready(
    folder: DataFolder, cluster: Cluster, names: Sequence[str], *, progress: Progress
) -> None:
    """Return when all are ready; ``StartFailed`` for one that keeps dying or is stuck."""
    supervisor = Supervisor(folder)
    deaths, advance = Deaths(), Advance()
    waiting = list(names)
    while True:
        processes = supervisor.processes()
        for name in waiting:
            if deaths.saw(processes[name]) >= DEATHS_MAX:
                raise _failed(folder, name, f"{name} ended {DEATHS_MAX} times while starting")
        ready = probes.ready(cluster, [name for name in waiting if processes[name].up])
        for name in [name for name in waiting if ready.get(name)]:
            progress(name, "ready")
            waiting.remove(name)
            advance.made()
        if not waiting:
            return
        if "coordinator" in waiting and advance.read(how_far := probes.reading(cluster)):
            progress("coordinator", how_far)
        if advance.stuck:
            said = f"{waiting[0]} is not ready, and nothing got on for {START_S:.0f} s"
            raise _failed(folder, waiting[0], said)
        time.sleep(advance.pause_s)


def wait_balanced(folder: DataFolder, workers: Sequence[str]) -> None:
    """Return when HAProxy sends requests to each of these workers."""
    deadline = time.monotonic() + START_S
    while missing := set(workers) - pods_in_use(folder):
        if time.monotonic() > deadline:
            raise _failed(folder, "haproxy", f"HAProxy does not use {', '.join(sorted(missing))}")
        time.sleep(POLL_S)


def _failed(folder: DataFolder, name: str, what: str) -> StartFailed:
    return StartFailed(
        f"{what}; its whole log is {folder.log(name)}.",
        process=name,
        log_lines=folder.log_tail(name),
    )
