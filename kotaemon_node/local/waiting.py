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
START_S = 180.0
"""A first start indexes the sample knowledge, perhaps on a slow machine."""
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


def wait_ready(
    folder: DataFolder, cluster: Cluster, names: Sequence[str], *, progress: Progress
) -> None:
    """Return when all are ready; ``StartFailed`` for one that keeps dying or is too slow."""
    supervisor = Supervisor(folder)
    deaths = Deaths()
    waiting = list(names)
    deadline = time.monotonic() + START_S
    while True:
        processes = supervisor.processes()
        for name in waiting:
            if deaths.saw(processes[name]) >= DEATHS_MAX:
                raise _failed(folder, name, f"{name} ended {DEATHS_MAX} times while starting")
        ready = probes.ready(cluster, [name for name in waiting if processes[name].up])
        for name in [name for name in waiting if ready.get(name)]:
            progress(name, "ready")
            waiting.remove(name)
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise _failed(folder, waiting[0], f"{waiting[0]} is not ready after {START_S:.0f} s")
        time.sleep(POLL_S)


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
