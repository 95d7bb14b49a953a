"""The faults that any cluster of this machine can suffer, by the numbers of the design.

Each is a function that does it and tells what it did. In what it tells, names that end with ``_s``
or ``_mb`` are measures, of which the largest counts; all others are numbers to be added up.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import psutil

from kotaemon_node.chaos.deaf import DeafClients
from kotaemon_node.chaos.phases import Phase
from kotaemon_node.chaos.strikes import Strikes
from kotaemon_node.chaos.target import Target
from kotaemon_node.local import probes
from kotaemon_node.local.cluster import WORKER_SLOTS
from kotaemon_node.local.control import running_cluster

Done = Mapping[str, Any]
_FROZEN_S = (3.5, 20.0)
"""The short one wakes while its turns are still running elsewhere."""
_SERIES_KILLS, _SERIES_EVERY_S = 6, 5.0
_RELOAD_SEEN_S = 3.0
_STARVED_S, _STARVED_OFF_S, _STARVED_ON_S = 10.0, 0.19, 0.01
_DEAF, _DEAF_S = 60, 6.0
_BACK_S = 90.0
_EASY: Final[Sequence[Phase]] = ("before_text", "within_text")
"""Every turn comes by them, and they last."""
_POLL_S = 0.02
_PAUSE_MAX_S = 0.5
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of disturbance. ``number``: its row in the design's table.

    ``beside``: workers are killed while it lasts; it is about something else than them.
    """

    name: str
    number: str
    does: Callable[[Strikes, random.Random], Done]
    beside: bool = False

    @property
    def shown(self) -> str:
        """Its name for people."""
        return self.name.replace("_", " ")


def kill_worker(strikes: Strikes, chance: random.Random) -> Done:
    """SIGKILL the owner of a turn, in a phase of that turn that is drawn."""
    before = strikes.kills["kill_worker"]
    hits = strikes.aimed(chance, "kill_worker")
    time.sleep(chance.uniform(0, _PAUSE_MAX_S))
    return {"kills": strikes.kills["kill_worker"] - before, "hits": hits}


def restart_rolling(strikes: Strikes, chance: random.Random) -> Done:
    """SIGTERM one worker after the other, each when the one before is back."""
    target = strikes.target
    workers = target.workers()
    chance.shuffle(workers)
    for name in workers:
        target.wait_replaced(name, target.kill(name, signal.SIGTERM))
        target.wait_ready(timeout_s=_BACK_S)
    return {"terms": len(workers)}


def freeze_worker(strikes: Strikes, chance: random.Random) -> Done:
    """SIGSTOP the owner of a running turn, and wake it when others have gone on."""
    found = strikes.owner(chance.choice(_EASY), chance)
    if found is None:
        return {"freezes": 0}
    talk, name, pid = found
    try:
        hits = strikes.strike({name: pid}, "freeze_worker", signal.SIGSTOP, beside=talk)
        time.sleep(chance.choice(_FROZEN_S))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    return {"freezes": 1, "hits": hits}


def kill_in_series(strikes: Strikes, chance: random.Random) -> Done:
    """SIGKILL a worker every few seconds, ready or not."""
    kills = hits = 0
    for _ in range(_SERIES_KILLS):
        pids = strikes.target.pids(strikes.target.workers())
        if pids:
            name = chance.choice(sorted(pids))
            hits += strikes.strike({name: pids[name]}, "kill_in_series")
            kills += 1
        time.sleep(_SERIES_EVERY_S)
    return {"kills": kills, "hits": hits}


def kill_all_workers(strikes: Strikes, chance: random.Random) -> Done:
    """SIGKILL every worker at one moment; what it takes beyond their own start counts."""
    target = strikes.target
    pids = target.pids(target.workers())
    strikes.owner(chance.choice(_EASY), chance)
    struck_s = _boot_s()
    hits = strikes.strike(pids, "kill_all_workers")
    return {"kills": len(pids), "hits": hits, **_back(target, sorted(pids), struck_s)}


def _back(target: Target, names: Sequence[str], struck_s: float) -> dict[str, float]:
    """Wait for all and return how long the last took, and how much of that was no start of it."""
    cluster = running_cluster(target.folder)
    ready_s: dict[str, float] = {}
    beyond_s: dict[str, float] = {}

    def look() -> bool:
        missing = [name for name in names if name not in ready_s]
        for name, ready in probes.ready(cluster, missing).items():
            began_s = target.started_s(name)
            if ready and began_s is not None and began_s >= struck_s:
                ready_s[name] = _boot_s()
        for name in target.in_use().intersection(ready_s).difference(beyond_s):
            start_s = ready_s[name] - (target.started_s(name) or struck_s)
            beyond_s[name] = _boot_s() - struck_s - start_s
        return len(beyond_s) == len(names)

    back_s = target.wait_until(look, what="all workers are in use again", timeout_s=_BACK_S)
    return {"back_s": round(back_s, 2), "beyond_start_s": round(max(beyond_s.values()), 2)}


def _boot_s() -> float:
    """Return the time on the clock by which the system tells when a process was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def kill_balancer(strikes: Strikes, chance: random.Random) -> Done:
    """SIGKILL HAProxy; every connection of every client breaks."""
    target = strikes.target
    target.wait_replaced("haproxy", target.kill("haproxy"))
    return {"kills": 1}


def reload_balancer(strikes: Strikes, chance: random.Random) -> Done:
    """Let HAProxy read its configuration again, and look what that cuts."""
    target = strikes.target
    pid = target.row("haproxy")["pid"]
    target.reload_balancer()
    target.wait_replaced("haproxy", pid)
    time.sleep(_RELOAD_SEEN_S)
    return {"reloads": 1}


def scale(strikes: Strikes, chance: random.Random) -> Done:
    """Add a worker, take two away, add one."""
    size = len(strikes.target.workers())
    sizes = (min(WORKER_SLOTS, size + 1), max(1, size - 1), size)
    for workers in sizes:
        strikes.target.scale(workers)
    return {"scalings": len(sizes)}


def kill_redis(strikes: Strikes, chance: random.Random) -> Done:
    """SIGKILL Redis; its append-only file brings everything back."""
    target = strikes.target

    def restart() -> None:
        target.wait_replaced("redis", target.kill("redis"))
        target.wait_until(lambda: target.row("redis")["ready"], what="Redis answers")

    return {"kills": 1, **served_again(strikes, restart, chance)}


def served_again(
    strikes: Strikes, restart: Callable[[], None], chance: random.Random
) -> dict[str, float]:
    """Return how long the store was away, and how long a turn waited that began with that.

    Raises what ``restart`` raises.
    """
    waited_s: list[float | None] = []
    failures: list[Exception] = []

    def away() -> None:
        try:
            restart()
        except Exception as error:  # noqa: BLE001 - raised below, where it is noted and not printed
            failures.append(error)

    probe = threading.Thread(
        target=lambda: waited_s.append(strikes.writers.probe(chance.randrange(10**9)))
    )
    began_s = time.monotonic()
    killed = threading.Thread(target=away)
    killed.start()
    probe.start()
    killed.join()
    if failures:
        raise failures[0]
    restart_s = time.monotonic() - began_s
    probe.join()
    served_s = waited_s[0] if waited_s else None
    beyond_s = float("inf") if served_s is None else max(0.0, served_s - restart_s)
    return {"restart_s": round(restart_s, 2), "beyond_restart_s": round(beyond_s, 2)}


def starve_worker(strikes: Strikes, chance: random.Random) -> Done:
    """Leave a worker a twentieth of its time."""
    pids = strikes.target.pids(strikes.target.workers())
    pid = pids[chance.choice(sorted(pids))]
    until_s = time.monotonic() + _STARVED_S
    with suppress(ProcessLookupError):
        try:
            while time.monotonic() < until_s:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(_STARVED_OFF_S)
                os.kill(pid, signal.SIGCONT)
                time.sleep(_STARVED_ON_S)
        finally:
            os.kill(pid, signal.SIGCONT)
    return {"seconds": _STARVED_S}


def deaf_clients(strikes: Strikes, chance: random.Random) -> Done:
    """Open many streams whose bytes nobody takes, then vanish without a word."""
    before_mb = _memory_mb(strikes.target)
    number = chance.randrange(10**9)
    sessions = [strikes.writers.other_session(f"deaf-{number}-{n}") for n in range(_DEAF)]
    with DeafClients(strikes.target.url, sessions) as deaf:
        time.sleep(_DEAF_S)
        during_mb = _memory_mb(strikes.target)
    time.sleep(1.0)
    after_mb = _memory_mb(strikes.target)
    memory = {"before_mb": before_mb, "during_mb": during_mb, "after_mb": after_mb}
    return {"streams": deaf.opened, **memory}


def _memory_mb(target: Target) -> float:
    total = 0
    for pid in target.pids(target.workers()).values():
        with suppress(psutil.NoSuchProcess):
            total += psutil.Process(pid).memory_info().rss
    return round(total / _MEGABYTE, 1)


FAULTS: Final[Mapping[str, Fault]] = {
    fault.name: fault
    for fault in (
        Fault("kill_worker", "1", kill_worker),
        Fault("restart_rolling", "2", restart_rolling),
        Fault("freeze_worker", "3", freeze_worker),
        Fault("kill_in_series", "4", kill_in_series),
        Fault("kill_all_workers", "5", kill_all_workers),
        Fault("kill_balancer", "6", kill_balancer),
        Fault("reload_balancer", "6", reload_balancer),
        Fault("scale", "7", scale),
        Fault("kill_redis", "8", kill_redis),
        Fault("deaf_clients", "19", deaf_clients),
        Fault("starve_worker", "21", starve_worker),
    )
}
