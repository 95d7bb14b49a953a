"""The faults by the numbers of the design, each a function that does it and tells what it did.

20 is not here: every deadline in the store is Redis's own time and every one in a pod is monotonic,
so that no clock that could be moved decides anything. Reloading HAProxy (6) is not here either: the
local cluster never reloads it, it has a line for every worker from the start.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import redis

from kotaemon_node.adapters.redis import keys
from kotaemon_node.domain.events import KNOWLEDGE_UPDATED, SESSION_UPDATED
from load.chaos.hits import Strikes
from load.chaos.scene import ALWAYS
from tests.cluster import Cluster

Done = Mapping[str, Any]
_FROZEN_S = (3.5, 20.0)
"""The short one wakes while its turns are still running elsewhere."""
_SERIES_KILLS, _SERIES_EVERY_S = 6, 5.0
_SCALES = (4, 2, 3)
_RESETS, _RESET_EVERY_S = 5, 2.0
_SLOW_S, _SLOW_MS = 10.0, 200
_STARVED_S, _STARVED_OFF_S, _STARVED_ON_S = 10.0, 0.19, 0.01
_DRIP_S = 15.0
_FLOOD: Final = b'{"x": "' + b"x" * 1_000_000 + b'"}'
_LEAVES_S = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of disturbance. ``number``: its row in the design's table."""

    name: str
    number: str
    does: Callable[[Strikes, random.Random], Done]


def kill_worker(strikes: Strikes, chance: random.Random) -> Done:
    """SIGKILL the owner of a running turn."""
    found = strikes.owner()
    if found is None:
        return {"kills": 0}
    time.sleep(chance.uniform(0, 1.0))
    name, pid = found
    return {"kills": 1, "hits": strikes.strike({name: pid}, "kill_worker")}


def restart_rolling(strikes: Strikes, chance: random.Random) -> Done:
    """SIGTERM one worker after the other, each when the one before is back."""
    cluster = strikes.scene.cluster
    workers = strikes.scene.workers()
    chance.shuffle(workers)
    for name in workers:
        _replaced(cluster, name, cluster.kill(name, signal.SIGTERM))
        cluster.wait_ready()
    return {"terms": len(workers)}


def freeze_worker(strikes: Strikes, chance: random.Random) -> Done:
    """SIGSTOP the owner of a running turn, and wake it when others have gone on."""
    found = strikes.owner()
    if found is None:
        return {"freezes": 0}
    name, pid = found
    try:
        hits = strikes.strike({name: pid}, "freeze_worker", signal.SIGSTOP)
        time.sleep(chance.choice(_FROZEN_S))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    return {"freezes": 1, "hits": hits}


def kill_in_series(strikes: Strikes, chance: random.Random) -> Done:
    """SIGKILL a worker every few seconds, ready or not."""
    kills = hits = 0
    for _ in range(_SERIES_KILLS):
        pids = strikes.pids(strikes.scene.workers())
        if pids:
            name = chance.choice(sorted(pids))
            hits += strikes.strike({name: pids[name]}, "kill_in_series")
            kills += 1
        time.sleep(_SERIES_EVERY_S)
    return {"kills": kills, "hits": hits}


def kill_all_workers(strikes: Strikes, chance: random.Random) -> Done:
    """SIGKILL every worker at one moment."""
    strikes.owner()
    pids = strikes.pids(strikes.scene.workers())
    return {"kills": len(pids), "hits": strikes.strike(pids, "kill_all_workers")}


def kill_balancer(strikes: Strikes, chance: random.Random) -> Done:
    """SIGKILL HAProxy; every connection of every client breaks."""
    cluster = strikes.scene.cluster
    _replaced(cluster, "haproxy", cluster.kill("haproxy"))
    return {"kills": 1}


def scale(strikes: Strikes, chance: random.Random) -> Done:
    """Add a worker, take two away, add one."""
    for workers in _SCALES:
        done = strikes.scene.cluster.command("scale", "--workers", str(workers))
        if done.returncode:
            raise RuntimeError(f"scaling to {workers} failed: {done.stderr}")
    return {"scalings": len(_SCALES)}


def kill_redis(strikes: Strikes, chance: random.Random) -> Done:
    """SIGKILL Redis; its append-only file brings everything back."""
    cluster = strikes.scene.cluster
    _replaced(cluster, "redis", cluster.kill("redis"))
    return {"kills": 1}


def slow_redis(strikes: Strikes, chance: random.Random) -> Done:
    """Let Redis answer nothing for 200 ms, again and again."""
    pauses, until_s = 0, time.monotonic() + _SLOW_S
    while time.monotonic() < until_s:
        with suppress(redis.TimeoutError):
            strikes.scene.redis.client_pause(_SLOW_MS)
            pauses += 1
        time.sleep(chance.uniform(1.5, 2.5) * _SLOW_MS / 1000)
    return {"pauses": pauses}


def reset_connections(strikes: Strikes, chance: random.Random) -> Done:
    """Let Redis hang up on everybody every two seconds."""
    cut = 0
    for _ in range(_RESETS):
        for kind in ("normal", "pubsub"):
            cut += int(strikes.scene.redis.client_kill_filter(_type=kind, skipme=True))
        time.sleep(_RESET_EVERY_S)
    return {"resets": _RESETS, "connections": cut}


def forget_events(strikes: Strikes, chance: random.Random) -> Done:
    """Remove the streams of the bus, as if it had come back empty."""
    client = strikes.scene.redis
    gone = [client.delete(keys.bus(topic)) for topic in (SESSION_UPDATED, KNOWLEDGE_UPDATED)]
    return {"streams": len(gone)}


def replay_events(strikes: Strikes, chance: random.Random) -> Done:
    """Send old events again, twice, newest first."""
    sent = 0
    for topic in (SESSION_UPDATED, KNOWLEDGE_UPDATED):
        entries: Any = strikes.scene.redis.xrevrange(keys.bus(topic), count=200)
        for _, fields in [*entries, *entries]:
            strikes.scene.redis.xadd(keys.bus(topic), fields)
            sent += 1
    return {"events": sent}


def break_model(strikes: Strikes, chance: random.Random) -> Done:
    """Let the language model refuse, fail, hang up or talk nonsense in some calls."""
    fault, times = chance.choice(("500", "429", "cut", "garbage", "error")), 5
    model = strikes.scene.model
    model.tell({"fault": fault, "times": times, "after_tokens": chance.randint(0, 30)})
    time.sleep(10)
    return {"calls": times, fault: times}


def stall_model(strikes: Strikes, chance: random.Random) -> Done:
    """Let the language model fall silent for good in two calls."""
    strikes.scene.model.tell({"fault": "stall", "times": 2, "after_tokens": chance.randint(0, 30)})
    time.sleep(10)
    return {"calls": 2}


def drip_model(strikes: Strikes, chance: random.Random) -> Done:
    """Let the language model say a word a second."""
    strikes.scene.model.tell({"token_ms": 1000})
    time.sleep(_DRIP_S)
    strikes.scene.model.tell({"token_ms": strikes.scene.model.pace["token_ms"]})
    return {"seconds": _DRIP_S}


def starve_worker(strikes: Strikes, chance: random.Random) -> Done:
    """Leave a worker a twentieth of its time."""
    pids = strikes.pids(strikes.scene.workers())
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


def break_tools(strikes: Strikes, chance: random.Random) -> Done:
    """Let tools act and hang up, refuse, or answer with a megabyte."""
    doings = strikes.scene.tools.doings
    how = chance.choice(("hang_up", "refuse", "flood"))
    with doings.lock:
        doings.hang_up, doings.times = how == "hang_up", 5
        doings.status = 500 if how == "refuse" else 200
        doings.raw = ("application/json", _FLOOD) if how == "flood" else None
    time.sleep(10)
    with doings.lock:
        doings.hang_up, doings.status, doings.raw, doings.times = False, 200, None, ALWAYS
    return {"spells": 1, how: 1}


def _replaced(cluster: Cluster, name: str, pid: int) -> None:
    """Wait until another process stands in the place of the one that had this pid."""
    cluster.wait_until(
        lambda: cluster.row(name)["pid"] not in {pid, None},
        what=f"{name} is another process",
        timeout_s=_LEAVES_S,
    )


FAULTS: Final[Mapping[str, Fault]] = {
    does.__name__: Fault(does.__name__, number, does)
    for number, does in (
        ("1", kill_worker),
        ("2", restart_rolling),
        ("3", freeze_worker),
        ("4", kill_in_series),
        ("5", kill_all_workers),
        ("6", kill_balancer),
        ("7", scale),
        ("8", kill_redis),
        ("10", slow_redis),
        ("10", reset_connections),
        ("13", forget_events),
        ("14", replay_events),
        ("18", break_model),
        ("18", stall_model),
        ("18", drip_model),
        ("21", starve_worker),
        ("24", break_tools),
    )
}
# Kills are what most is promised about; each round of faults has so many of them.
KILLS_PER_ROUND: Final = 8
