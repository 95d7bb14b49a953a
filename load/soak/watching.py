"""What the cluster's processes take, looked at again and again while users talk."""

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Self

import psutil
import redis
import requests

from kotaemon_node.chaos.target import Target
from kotaemon_node.local import control, table
from kotaemon_node.local.supervisor import Supervisor

_MIB: Final = 2**20
_ANSWER_CACHE: Final = "kotaemon_answer_cache_total{"
_METRICS_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What one process had at a moment."""

    pid: int
    rss_mib: float
    own_mib: float
    """What no other process has: what ends with it."""
    files: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Look:
    """All processes at a moment, by name; ``at_s`` on the clock of ``time.monotonic``."""

    at_s: float
    processes: Mapping[str, Taken]
    redis_mib: float
    redis_keys: int
    busy_s: float
    """What the whole machine has computed."""


@dataclass(slots=True)
class Watcher:
    """Looks every so often, in a thread, until the block ends."""

    target: Target
    every_s: float
    looks: list[Look] = field(default_factory=list)
    missed: Counter[str] = field(default_factory=Counter)
    """Looks that failed, by the error: a process ended meanwhile, or somebody did not answer."""
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()

    def _watch(self) -> None:
        with redis.Redis.from_url(self.target.redis_url, socket_timeout=10.0) as client:
            while True:
                try:
                    self.looks.append(look(self.target, client))
                except Exception as error:  # noqa: BLE001 - whatever it is, the run has hours to go
                    self.missed[type(error).__name__] += 1
                if self._over.wait(self.every_s):
                    return


def look(target: Target, client: "redis.Redis") -> Look:
    """Look once."""
    processes = {name: _taken(one) for name, one in _processes(target).items()}
    memory: Any = client.info("memory")
    keys: Any = client.dbsize()
    times = psutil.cpu_times()
    return Look(
        at_s=time.monotonic(),
        processes=processes,
        redis_mib=memory["used_memory"] / _MIB,
        redis_keys=int(keys),
        busy_s=sum(times) - times.idle - times.iowait - times.guest - times.guest_nice,
    )


def restarts(looks: Sequence[Look]) -> list[str]:
    """Return the names of processes that were others at the end, or at some time away."""
    found = set()
    for before, after in pairwise(looks):
        for name, taken in before.processes.items():
            now = after.processes.get(name)
            if now is None or now.pid != taken.pid:
                found.add(name)
    return sorted(found)


def answer_cache(target: Target) -> dict[str, float]:
    """Return result of the look for a hot answer to how often, over all workers.

    Raises ``OSError`` where a worker does not answer.
    """
    found: dict[str, float] = {}
    for port in target.worker_ports():
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=_METRICS_S).text
        for line in text.splitlines():
            if line.startswith(_ANSWER_CACHE):
                labels, _, value = line.removeprefix(_ANSWER_CACHE).rpartition(" ")
                result = labels.partition('result="')[2].partition('"')[0]
                found[result] = found.get(result, 0.0) + float(value)
    return found


def _processes(target: Target) -> dict[str, psutil.Process]:
    """Return name to process: those that serve, their parents, and who supervises them all."""
    supervisor = Supervisor(target.folder)
    programs = supervisor.processes()
    cluster = control.running_cluster(target.folder)
    found = {"supervisord": psutil.Process(supervisor.pid())}
    for name in table.names(cluster):
        pid = table.serving_pid(target.folder, programs.get(name))
        if pid is None:
            continue
        serving = psutil.Process(pid)
        found[name] = serving
        parent = serving.parent()
        if parent is not None and parent.pid == programs[name].pid:
            found[f"{name} (parent)"] = parent
    return found


def _taken(process: psutil.Process) -> Taken:
    memory, times = process.memory_full_info(), process.cpu_times()
    return Taken(
        pid=process.pid,
        rss_mib=round(memory.rss / _MIB, 3),
        own_mib=round(memory.uss / _MIB, 3),
        files=process.num_fds(),
        cpu_s=round(times.user + times.system, 2),
    )
