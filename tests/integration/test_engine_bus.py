"""The bus is away, hangs, or is back: what that does to turns, and which events go out."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from kotaemon_node.adapters.redis import keys
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import SESSION_UPDATED, TURN_LOG
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.turn_log import TurnLog
from kotaemon_node.ports.cipher import NoCipher
from kotaemon_node.ports.events import Message
from tests.engine_pods import ANYBODY, Stall, TestPod, key
from tests.redis_server import RedisServer


class HangingBus:
    """A bus whose broker takes the connection and then says nothing, until it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go = threading.Event()
        self.taken: list[Message] = []

    def publish(self, message: Message) -> None:
        self.asked.set()
        assert self.go.wait(120)
        self.taken.append(message)

    def subscribe(self, topics: tuple[str, ...], *, on_positioned: Callable[[], None]) -> Any:
        raise NotImplementedError


def test_a_bus_that_hangs_holds_up_neither_the_client_nor_the_next_turn_nor_a_takeover(
    server: RedisServer,
) -> None:
    bus, first, stall = HangingBus(), Stall(1), Stall(1)
    pod, dead = TestPod("pod", server, first, bus=bus), TestPod("dead", server, stall)
    pod.judges()

    pod.submit("t1")
    assert first.reached.wait(60)
    pod.submit("t2")
    first.go.set()
    for turn_id in ("t1", "t2"):
        turn = pod.engine.wait(key(turn_id), ANYBODY, timeout_s=60)
        assert turn is not None
        assert turn.state is State.DONE
    assert bus.asked.wait(60)
    dead.submit("t3")
    assert stall.reached.wait(60)
    assert pod.recovery.sweep() == 1
    assert pod.engine.wait(key("t3"), ANYBODY, timeout_s=60) is not None

    assert not pod.engine.quiet
    assert {orphan.key.turn_id for orphan in pod.sessions.orphans(limit=10)} == {"t1", "t2", "t3"}
    stall.go.set()
    bus.go.set()
    pod.until_idle()
    assert pod.sessions.orphans(limit=10) == []
    assert len(bus.taken) == 3


class AbsentBus(HangingBus):
    """A bus that refuses until it is there."""

    def publish(self, message: Message) -> None:
        self.asked.set()
        if not self.go.is_set():
            raise Unavailable("no broker")
        self.taken.append(message)


def test_events_without_a_bus_stay_in_the_index_for_a_while_and_not_for_ever(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = AbsentBus()
    pod = TestPod("pod", server, bus=bus)
    pod.judges()
    for turn_id in ("t1", "t2", "t3"):
        pod.submit(turn_id)
        pod.engine.wait(key(turn_id), ANYBODY, timeout_s=60)
    pod.until_idle()
    monkeypatch.setattr(limits, "RUNNING_ENTRY_YOUNG_S", -1.0)

    pod.recovery.sweep()
    pod.until(lambda: not pod.engine._announcer._resending)
    assert len(pod.sessions.orphans(limit=10)) == 3

    monkeypatch.setattr(limits, "EVENT_UNSENT_MAX_S", -1.0)
    pod.recovery.sweep()
    pod.until(lambda: pod.sessions.orphans(limit=10) == [])
    assert bus.taken == []
    assert 'outcome="dropped",topic="session_updated"} 3.0' in pod.metrics.exposition().decode()


def test_turns_whose_events_no_bus_takes_are_kept_apart_from_those_that_run(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = AbsentBus()
    pod = TestPod("pod", server, bus=bus)
    pod.judges()

    def running() -> int:
        return int(pod.store.client.zcard(keys.running(key("t1"))[0]))

    pod.submit("t1")
    pod.engine.wait(key("t1"), ANYBODY, timeout_s=60)
    pod.until_idle()
    assert running() == 0
    # Of a pod that died before it tried, or knows of no such place.
    for turn_id in ("t2", "t3"):
        pod.submit(turn_id)
        pod.engine.wait(key(turn_id), ANYBODY, timeout_s=60)
    pod.until_idle()
    for turn_id in ("t2", "t3"):
        shard, member = keys.running(key(turn_id))
        pod.store.client.zadd(shard, {member: 1_000})
    monkeypatch.setattr(limits, "RUNNING_ENTRY_YOUNG_S", -1.0)
    monkeypatch.setattr(limits, "EVENT_UNSENT_MAX_S", float("inf"))
    pod.recovery.sweep()
    pod.until(lambda: running() == 0)
    assert len(pod.sessions.orphans(limit=10)) == 3

    pod.until(lambda: not pod.engine._announcer._resending)
    bus.go.set()
    pod.recovery.sweep()
    pod.until(lambda: pod.sessions.orphans(limit=10) == [])
    assert {json.loads(message.value)["turn_id"] for message in bus.taken} == {"t1", "t2", "t3"}


def test_events_go_out_when_the_bus_is_back(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = AbsentBus()
    pod = TestPod("pod", server, bus=bus)
    pod.judges()
    for turn_id in ("t1", "t2"):
        pod.submit(turn_id)
        pod.engine.wait(key(turn_id), ANYBODY, timeout_s=60)
    pod.until_idle()

    bus.go.set()
    monkeypatch.setattr(limits, "RUNNING_ENTRY_YOUNG_S", -1.0)
    pod.recovery.sweep()

    pod.until(lambda: pod.sessions.orphans(limit=10) == [])
    sent = {json.loads(message.value)["turn_id"] for message in bus.taken}
    assert sent == {"t1", "t2"}


def logged(bus: HangingBus) -> list[dict[str, Any]]:
    return [json.loads(one.value) for one in bus.taken if one.topic == TURN_LOG]


def finished(pod: TestPod, *turn_ids: str) -> None:
    for turn_id in turn_ids:
        pod.submit(turn_id)
        pod.engine.wait(key(turn_id), ANYBODY, timeout_s=60)
    pod.until_idle()


def test_every_finished_turn_is_logged_without_its_texts(server: RedisServer) -> None:
    bus = AbsentBus()
    bus.go.set()
    pod = TestPod("pod", server, bus=bus, turn_log=TurnLog(texts=False, cipher=NoCipher()))

    finished(pod, "t1", "t2")

    first, second = sorted(logged(bus), key=lambda event: int(event["version"]))
    head = pod.sessions.head(key("t1").session)
    assert head is not None
    assert first["event_id"] == f"default:{key('t1').session.session_id}:{head.epoch}:t1"
    assert (first["schema"], first["state"], first["pod"]) == (1, "done", "pod")
    assert first["generation"] == {"default": 7}
    assert (first["version"], second["version"]) == (1, 2)
    assert "Parcels" not in json.dumps([first, second])
    assert {one.key for one in bus.taken} == {key("t1").session.session_id}
    assert pod.sessions.orphans(limit=10) == []


def test_the_texts_are_logged_where_they_are_wanted(server: RedisServer) -> None:
    bus = AbsentBus()
    bus.go.set()
    pod = TestPod("pod", server, bus=bus, turn_log=TurnLog(texts=True, cipher=NoCipher()))

    finished(pod, "t1")

    assert [event["answer"] for event in logged(bus)] == ["Parcels leave within two days."]
    assert logged(bus)[0]["message"]


def test_a_log_without_a_bus_goes_out_later_as_it_would_have_and_its_hints_do_not(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = AbsentBus()
    pod = TestPod("pod", server, bus=bus, turn_log=TurnLog(texts=True, cipher=NoCipher()))
    pod.judges()
    finished(pod, "t1", "t2")
    bus.go.set()
    monkeypatch.setattr(limits, "RUNNING_ENTRY_YOUNG_S", -1.0)
    monkeypatch.setattr(limits, "EVENT_UNSENT_MAX_S", -1.0)

    pod.recovery.sweep()

    pod.until(lambda: pod.sessions.orphans(limit=10) == [])
    assert {event["event_id"].rpartition(":")[2] for event in logged(bus)} == {"t1", "t2"}
    assert [one for one in bus.taken if one.topic == SESSION_UPDATED] == []
    for event in logged(bus):
        turn = pod.sessions.turn(key(event["turn_id"]), ANYBODY)
        assert (event["version"], event["answer"]) == (turn.version, turn.answer)
        assert event["timings"] == dict(turn.timings)
    assert 'outcome="dropped",topic="session_updated"} 2.0' in pod.metrics.exposition().decode()
    assert 'outcome="dropped",topic="turn_log"' not in pod.metrics.exposition().decode()


def test_a_log_that_finds_no_bus_for_too_long_is_lost_and_counted(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = AbsentBus()
    pod = TestPod("pod", server, bus=bus, turn_log=TurnLog(texts=False, cipher=NoCipher()))
    pod.judges()
    finished(pod, "t1", "t2", "t3")
    monkeypatch.setattr(limits, "RUNNING_ENTRY_YOUNG_S", -1.0)
    monkeypatch.setattr(limits, "EVENT_UNSENT_MAX_S", -1.0)

    pod.recovery.sweep()
    pod.until(lambda: not pod.engine._announcer._resending)
    assert len(pod.sessions.orphans(limit=10)) == 3

    monkeypatch.setattr(limits, "TURN_LOG_UNSENT_MAX_S", -1.0)
    pod.recovery.sweep()
    pod.until(lambda: pod.sessions.orphans(limit=10) == [])
    assert bus.taken == []
    assert 'outcome="dropped",topic="turn_log"} 3.0' in pod.metrics.exposition().decode()


def test_a_repeat_of_the_log_is_equal_to_what_it_repeats(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = AbsentBus()
    bus.go.set()
    pod = TestPod("pod", server, bus=bus, turn_log=TurnLog(texts=True, cipher=NoCipher()))
    pod.judges()
    # As if the pod had died between the bus and the index.
    monkeypatch.setattr(pod.sessions, "settle", lambda _: None)
    finished(pod, "t1")
    monkeypatch.undo()
    monkeypatch.setattr(limits, "RUNNING_ENTRY_YOUNG_S", -1.0)

    pod.recovery.sweep()

    pod.until(lambda: pod.sessions.orphans(limit=10) == [])
    first, again = logged(bus)
    assert first == again
