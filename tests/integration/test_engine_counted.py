"""What pods on a real Redis count while they answer, hand over and wait for the bus."""

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.ports.sessions import Work
from tests.engine_pods import ANYBODY, Stall, TestPod, key
from tests.fakes.llm_server import FakeLlmServer
from tests.fakes.tool_server import ToolServer
from tests.integration.test_engine_bus import AbsentBus
from tests.redis_server import RedisServer
from tests.tool_pods import ToolPod


def value(pod: TestPod, name: str, **labels: str) -> float:
    found = pod.metrics.registry.get_sample_value(name, labels)
    assert found is not None, f"{name} {labels}"
    return found


def answered(pod: TestPod, turn_id: str) -> None:
    pod.submit(turn_id)
    assert pod.engine.wait(key(turn_id), ANYBODY, timeout_s=60) is not None
    pod.until_idle()


def test_a_turn_counts_its_frames_its_scripts_and_its_event(server: RedisServer) -> None:
    pod = TestPod("pod", server)

    answered(pod, "t1")

    shown = len(pod.frames("t1"))
    assert value(pod, "kotaemon_frames_stored_total") == shown - 1  # the last is the commit's
    assert value(pod, "kotaemon_frame_delay_seconds_count") >= 1
    for script in ("claim", "append", "commit", "read"):
        assert value(pod, "kotaemon_store_seconds_count", operation=script) >= 1
    sent = {"topic": "session_updated", "outcome": "sent"}
    assert value(pod, "kotaemon_events_total", **sent) == 1


def test_a_failed_turn_is_counted_by_its_code(server: RedisServer) -> None:
    def refuse(work: Work, place: int) -> None:
        raise Unavailable("no knowledge")

    pod = TestPod("pod", server, refuse)

    answered(pod, "t1")

    assert value(pod, "kotaemon_turns_total", outcome="failed") == 1
    assert value(pod, "kotaemon_turns_failed_total", code="unavailable") == 1


def test_a_handover_is_counted_by_both_sides(server: RedisServer) -> None:
    stall = Stall(2)
    old, heir = TestPod("old", server, stall), TestPod("heir", server)
    old.submit("t1")
    assert stall.reached.wait(60)

    old.leaving = True
    old.engine.hand_over()
    stall.go.set()
    old.until_idle()
    heir.frames("t1")

    assert value(old, "kotaemon_handovers_total") == 1
    assert value(heir, "kotaemon_takeovers_total") == 1


def test_events_that_wait_for_the_bus_are_shown_until_they_are_sent(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = AbsentBus()
    pod = TestPod("pod", server, bus=bus)
    pod.judges()
    monkeypatch.setattr(limits, "RUNNING_ENTRY_YOUNG_S", -1.0)
    answered(pod, "t1")
    answered(pod, "t2")

    pod.recovery.sweep()
    waiting = value(pod, "kotaemon_events_unsent")
    bus.go.set()
    pod.until(lambda: not pod.engine._announcer._resending)
    pod.recovery.sweep()
    pod.until(lambda: pod.sessions.orphans(limit=10) == [])
    pod.recovery.sweep()

    assert waiting == 2
    assert value(pod, "kotaemon_events_unsent") == 0
    failed = {"topic": "session_updated", "outcome": "failed"}
    assert value(pod, "kotaemon_events_total", **failed) >= 2


def test_a_language_model_that_answers_is_timed_and_one_that_fails_is_counted(
    server: RedisServer,
) -> None:
    with FakeLlmServer() as llm, ToolServer() as tools:
        pod = ToolPod("pod", server, llm=llm, tools=tools, effects={"look": "read"})
        model = pod.counted.registry.get_sample_value

        never_called = pod.calls("look", "failed")
        answered(pod, "t1")
        llm.break_with("500", times=100)
        answered(pod, "t2")

    assert never_called == 0
    labels = {"plugin": "look", "outcome": "unknown"}
    assert model("kotaemon_plugin_calls_total", labels) == 0
    assert model("kotaemon_llm_seconds_count") == 1
    assert value(pod, "kotaemon_turns_degraded_total") == 1
    assert value(pod, "kotaemon_turns_total", outcome="done") == 2
