"""The faults that need the scene: its store, its model, its tools, the clocks of its pods.

As in ``kotaemon_node.chaos.faults``, each does something and tells what it did.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final

import redis
import requests

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.slots import slot_of
from kotaemon_node.chaos.faults import FAULTS as ANYWHERE
from kotaemon_node.chaos.faults import Done, Fault, served_again
from kotaemon_node.chaos.strikes import Strikes
from kotaemon_node.chaos.target import NotInTime
from kotaemon_node.domain.events import KNOWLEDGE_UPDATED, SESSION_UPDATED
from kotaemon_node.domain.session import SessionKey
from load.chaos.scene import ALWAYS, KNOWN_WITHIN_S, Scene, until_known
from load.chaos.stores import ClusterStore

_RESETS, _RESET_EVERY_S = 5, 2.0
_SLOW_S, _SLOW_BY_S = 10.0, (0.1, 0.3)
_DRIP_S = 15.0
_MODEL_S = 10.0
_CLOCK_AHEAD_S, _CLOCK_S = 300, 10.0
_CLOCK_SAID_S, _CLOCK_POLL_S = 15.0, 0.2
_FLOOD: Final = b'{"x": "' + b"x" * 1_000_000 + b'"}'
_SLOTS_MOVED = 12
_WIPED_S = 3.0

Does = Callable[[Scene, Strikes, random.Random], Done]


def kill_store(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """SIGKILL Redis; its append-only file brings everything back."""
    return {"kills": 1, **served_again(strikes, scene.store.restart, chance)}


def fail_over(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """SIGKILL the primary; its replica is promoted, and it comes back as a replica."""
    store = scene.store

    def away() -> None:
        store.disturb()
        if scene.durability == "replica":
            store.mend()  # nothing is acknowledged while nobody copies it

    done = served_again(strikes, away, chance)
    store.mend()
    return {"kills": 1, **done}


def move_slots(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """Move slots of sessions that are under way to other shards."""
    assert isinstance(scene.store, ClusterStore)
    sessions = sorted({talk.session for talk in strikes.writers.open()})
    chance.shuffle(sessions)
    named = [keys.SessionKeys.of(SessionKey("default", one)).meta for one in sessions]
    slots = sorted({slot_of(name) for name in named[:_SLOTS_MOVED]})
    scene.store.move(slots)
    return {"slots": len(slots)}


def wipe_redis(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """Let the store forget everything."""
    scene.store.wipe()
    time.sleep(_WIPED_S)
    return {"wipes": 1}


def slow_redis(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """Let everything to and from Redis wait 200 ms, more or less."""
    scene.store.slow(_SLOW_BY_S, seconds=_SLOW_S)
    return {"seconds": _SLOW_S}


def reset_connections(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """Hang up on every client of Redis every two seconds."""
    cut = 0
    for _ in range(_RESETS):
        cut += scene.store.reset()
        time.sleep(_RESET_EVERY_S)
    return {"resets": _RESETS, "connections": cut}


def forget_events(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """Remove the streams of the bus, as if it had come back empty, and wait for knowledge."""
    gone = [scene.redis.delete(keys.bus(topic)) for topic in (SESSION_UPDATED, KNOWLEDGE_UPDATED)]
    found_s = until_known(scene)
    known_s = KNOWN_WITHIN_S if found_s is None else round(found_s, 2)
    return {"streams": len(gone), "known_s": known_s}


def replay_events(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """Send old events again, twice, newest first."""
    sent = 0
    for topic in (SESSION_UPDATED, KNOWLEDGE_UPDATED):
        entries: Any = scene.redis.xrevrange(keys.bus(topic), count=200)
        for _, fields in [*entries, *entries]:
            scene.redis.xadd(keys.bus(topic), fields)
            sent += 1
    return {"events": sent}


def break_model(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """Let the language model refuse, fail, hang up or talk nonsense in some calls."""
    fault, times = chance.choice(("500", "429", "cut", "garbage", "error")), 5
    scene.model.tell({"fault": fault, "times": times, "after_tokens": chance.randint(0, 30)})
    time.sleep(_MODEL_S)
    return {"calls": times, fault: times}


def stall_model(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """Let the language model fall silent for good in two calls."""
    scene.model.tell({"fault": "stall", "times": 2, "after_tokens": chance.randint(0, 30)})
    time.sleep(_MODEL_S)
    return {"calls": 2}


def drip_model(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """Let the language model say a word a second."""
    scene.model.tell({"token_ms": 1000})
    time.sleep(_DRIP_S)
    scene.model.tell({"token_ms": scene.model.pace["token_ms"]})
    return {"seconds": _DRIP_S}


def move_clocks(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """Set the clock of one pod five minutes ahead and that of another five minutes back."""
    names = chance.sample(scene.target.workers(), 2)
    for name, ahead_s in zip(names, (_CLOCK_AHEAD_S, -_CLOCK_AHEAD_S), strict=True):
        (scene.clocks / name).write_text(str(ahead_s))
    time.sleep(_CLOCK_S)
    apart_s = _apart_s([scene.target.row(name)["port"] for name in names])
    for name in names:
        (scene.clocks / name).unlink()
    return {"pods": len(names), "apart_s": round(apart_s)}


def _apart_s(ports: Sequence[int]) -> float:
    """Return how far the clocks of these pods are apart, as they say themselves; 0: unknown.

    One that was killed meanwhile is waited for: it comes back with the same clock.
    """
    said: dict[int, float] = {}
    until_s = time.monotonic() + _CLOCK_SAID_S
    while len(said) < len(ports) and time.monotonic() < until_s:
        for port in ports:
            with suppress(requests.RequestException, KeyError, ValueError):
                answer = requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
                now_s = time.monotonic()
                date_s = parsedate_to_datetime(answer.headers["Date"]).timestamp()
                said[port] = date_s - now_s
        time.sleep(_CLOCK_POLL_S)
    return max(said.values()) - min(said.values()) if len(said) == len(ports) else 0.0


def break_tools(scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    """Let tools act and hang up, refuse, or answer with a megabyte."""
    doings = scene.tools.doings
    how = chance.choice(("hang_up", "refuse", "flood"))
    with doings.lock:
        doings.hang_up, doings.times = how == "hang_up", 5
        doings.status = 500 if how == "refuse" else 200
        doings.raw = ("application/json", _FLOOD) if how == "flood" else None
    time.sleep(_MODEL_S)
    with doings.lock:
        doings.hang_up, doings.status, doings.raw, doings.times = False, 200, None, ALWAYS
    return {"spells": 1, how: 1}


# Name, number in the design, whether workers are killed meanwhile.
_HERE: Final[Sequence[tuple[str, str, Does, bool]]] = (
    ("kill_redis", "8", kill_store, False),
    ("fail_over", "9", fail_over, False),
    ("move_slots", "9", move_slots, True),
    ("slow_redis", "10", slow_redis, True),
    ("reset_connections", "10", reset_connections, True),
    ("wipe_redis", "12", wipe_redis, False),
    ("forget_events", "13", forget_events, False),
    ("replay_events", "14", replay_events, True),
    ("break_model", "18", break_model, True),
    ("stall_model", "18", stall_model, True),
    ("drip_model", "18", drip_model, True),
    ("move_clocks", "20", move_clocks, True),
    ("break_tools", "24", break_tools, True),
)
_ONLY: Final[Mapping[str, str]] = {
    "kill_redis": "single",
    "fail_over": "sentinel",
    "move_slots": "cluster",
}
_ASKED_FOR: Final = frozenset({"wipe_redis"})
"""Not among those that are done when none is named."""


def names(kind: str) -> list[str]:
    """Return the faults that can be done where the store is of this kind."""
    known = dict.fromkeys([*ANYWHERE, *(name for name, *_ in _HERE)])
    return [name for name in known if _ONLY.get(name, kind) == kind]


def usual(kind: str) -> list[str]:
    """Return those that are done when none is named."""
    return [name for name in names(kind) if name not in _ASKED_FOR]


def bound(scene: Scene, chosen: Sequence[str]) -> list[Fault]:
    """Return these faults, ready to be done to the scene."""
    here = {
        name: Fault(name, number, partial(_done, does, scene), beside)
        for name, number, does, beside in _HERE
    }
    return [here.get(name) or ANYWHERE[name] for name in chosen]


def _done(does: Does, scene: Scene, strikes: Strikes, chance: random.Random) -> Done:
    try:
        return does(scene, strikes, chance)
    except (redis.RedisError, AssertionError) as error:
        raise NotInTime(str(error)) from error
