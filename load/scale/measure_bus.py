"""What an event on the bus costs: Redis with so many pods that read, and a pod that is told."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from kotaemon_node.adapters.redis import RedisStreamsBus, connect, keys
from kotaemon_node.adapters.redis.session_cache import SessionCache
from kotaemon_node.domain.events import SESSION_UPDATED, SessionUpdated
from kotaemon_node.listeners.dispatch import Dispatch
from kotaemon_node.listeners.session_updated import SessionUpdatedListener
from kotaemon_node.ports.events import Message
from kotaemon_node.telemetry.metrics import Metrics
from load.scale.seen import Usage, client_of
from tests.redis_server import RedisServer, ServerClock

_EVENTS = 400
_HANDLED = 4_000
FEW, MANY = 5, 35
CHECKED = 60


def message(number: int) -> Message:
    """Return an event as the product makes it."""
    event = SessionUpdated(
        event_id=f"{number:032x}:{number:032x}",
        tenant="default",
        session_id=f"{number:032x}",
        turn_id=f"{number:032x}",
        epoch="0" * 32,
        version=number,
        hash="0" * 40,
    )
    return Message(SESSION_UPDATED, event.session_id, json.dumps(asdict(event)).encode())


def measured() -> dict[str, float]:
    """Return the costs of an event; ``_checked`` is what so many readers cost, to compare with."""
    few, many = fanned_out(FEW), fanned_out(MANY)
    told_us = (many["cpu_us"] - few["cpu_us"]) / (MANY - FEW)
    told_bytes = (many["out_bytes"] - few["out_bytes"]) / (MANY - FEW)
    return {
        "told_cpu_us": told_us,
        "told_bytes": told_bytes,
        "publish_cpu_us": max(0.0, few["cpu_us"] - FEW * told_us),
        "checked_readers": CHECKED,
        "checked_cpu_us": fanned_out(CHECKED)["cpu_us"],
        "batched_entry_cpu_us": _batched(),
        "handled_cpu_us": _handled(),
    }


def fanned_out(readers: int) -> dict[str, float]:
    """Publish events one by one to so many blocked readers; return what each cost Redis."""
    server = RedisServer(options=())
    server.start()
    heard = [0] * readers
    try:
        bus = RedisStreamsBus(connect(server.url), clock=ServerClock(server))
        ready = threading.Barrier(readers + 1)
        for place in range(readers):
            threading.Thread(
                target=_listen, args=(server, heard, place, ready.wait), daemon=True
            ).start()
        ready.wait()
        client = client_of(server.url)
        until(lambda: client.info("clients")["blocked_clients"] == readers)
        before = Usage.of(client)
        for number in range(_EVENTS):
            bus.publish(message(number))
            until(lambda: min(heard) > number)  # noqa: B023 - called within the round
        used = Usage.of(client) - before
        return used.per(_EVENTS)
    finally:
        server.remove()


def _listen(server: RedisServer, heard: list[int], place: int, ready: Callable[[], Any]) -> None:
    bus = RedisStreamsBus(connect(server.url), clock=ServerClock(server))
    for _ in bus.subscribe((SESSION_UPDATED,), on_positioned=lambda: (ready(), None)[1]):
        heard[place] += 1


def _batched() -> float:
    """Return what Redis computes for an entry that is read with 199 others."""
    server = RedisServer(options=())
    server.start()
    try:
        store, client = connect(server.url), client_of(server.url)
        bus = RedisStreamsBus(store, clock=ServerClock(server))
        for number in range(_HANDLED):
            bus.publish(message(number))
        name, before, at, read = keys.bus(SESSION_UPDATED), Usage.of(client), b"0-0", 0
        while reply := store.client.xread({name: at}, count=200):
            ((_, entries),) = reply
            at, read = entries[-1][0], read + len(entries)
        return (Usage.of(client) - before).cpu_us / read
    finally:
        server.remove()


def _handled() -> float:
    """Return what a pod computes for an event: read among others, and of a session unknown here."""
    server = RedisServer(options=())
    server.start()
    took: list[float] = []
    ready = threading.Event()
    try:
        bus = RedisStreamsBus(connect(server.url), clock=ServerClock(server))
        listener = SessionUpdatedListener(newer=SessionCache().mark)
        dispatch = Dispatch(
            bus, {SESSION_UPDATED: listener}, metrics=Metrics(), clock=ServerClock(server)
        )

        def read() -> None:
            began_s = 0.0
            heard = bus.subscribe((SESSION_UPDATED,), on_positioned=ready.set)
            for number, one in enumerate(heard, start=1):
                began_s = began_s or time.thread_time()
                dispatch.dispatch(one)
                if number == _HANDLED:
                    took.append(time.thread_time() - began_s)

        threading.Thread(target=read, daemon=True).start()
        ready.wait(60)
        client = client_of(server.url)
        with client.pipeline(transaction=False) as pipe:
            for number in range(_HANDLED):
                one = message(number)
                pipe.xadd(keys.bus(SESSION_UPDATED), {"k": one.key, "v": one.value})
            pipe.execute()
        until(lambda: bool(took))
        return took[0] / _HANDLED * 1e6
    finally:
        server.remove()


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError("readers of the bus did not hear an event within a minute")
        time.sleep(0.0005)
