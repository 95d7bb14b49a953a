"""Of which turns ``session_updated`` is told, by ``SESSION_EVENTS``."""

from typing import Any

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.events import SessionEvents
from kotaemon_node.engine.turn_log import TurnLog
from kotaemon_node.ports.cipher import NoCipher
from tests.engine_pods import ANYBODY, Stall, TestPod, key
from tests.redis_server import RedisServer


def talk(server: RedisServer, session_events: SessionEvents, where: str) -> list[dict[str, Any]]:
    """Have pods "a" and "b" answer one session, turn by turn, and return what was told."""
    pods = {name: TestPod(name, server, session_events=session_events) for name in set(where)}
    for pod in pods.values():
        pod.judges()
    for number, name in enumerate(where, start=1):
        pods[name].submit(f"t{number}")
        assert pods[name].engine.wait(key(f"t{number}"), ANYBODY, timeout_s=60) is not None
        pods[name].until_idle()
    some = next(iter(pods.values()))
    assert some.sessions.orphans(limit=10) == []
    told = some.events()
    spared = sum(
        float(line.rsplit(" ", 1)[1])
        for pod in pods.values()
        for line in pod.metrics.exposition().decode().splitlines()
        if line.startswith("kotaemon_events_total") and '"spared"' in line
    )
    assert len(told) + spared == len(where)
    return told


@pytest.mark.parametrize(
    ("session_events", "where", "told"),
    [
        ("all", "aabba", ["t1", "t2", "t3", "t4", "t5"]),
        # Who has the session alone tells nobody; who gets it from another tells that one.
        ("moved", "aaaa", []),
        ("moved", "aabba", ["t3", "t5"]),
        ("moved", "abab", ["t2", "t3", "t4"]),
        ("none", "aabba", []),
    ],
)
def test_which_turns_are_told(
    server: RedisServer, session_events: SessionEvents, where: str, told: list[str]
) -> None:
    assert [it["turn_id"] for it in talk(server, session_events, where)] == told


def test_turns_that_wait_for_each_other_on_one_pod_are_told_to_nobody(
    server: RedisServer,
) -> None:
    # They wait before the first ends: one that comes just as it ends may be told, which harms none.
    first = Stall(1)
    pod = TestPod("a", server, first, session_events="moved")
    pod.judges()
    pod.submit("t1")
    assert first.reached.wait(60)
    pod.submit("t2")
    pod.submit("t3")
    first.go.set()
    for turn_id in ("t1", "t2", "t3"):
        assert pod.engine.wait(key(turn_id), ANYBODY, timeout_s=60) is not None
    pod.until_idle()
    assert pod.events() == []


@pytest.mark.parametrize(("session_events", "told"), [("moved", ["t1"]), ("none", [])])
def test_what_a_dead_pod_did_not_tell_the_sweep_tells_where_anything_is_told(
    server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    session_events: SessionEvents,
    told: list[str],
) -> None:
    pod = TestPod("a", server, session_events=session_events)
    pod.judges()
    with monkeypatch.context() as patched:
        patched.setattr(pod.sessions, "settle", lambda *_, **__: None)
        pod.submit("t1")
        assert pod.engine.wait(key("t1"), ANYBODY, timeout_s=60) is not None
        pod.until_idle()
    assert pod.events() == []
    monkeypatch.setattr(limits, "RUNNING_ENTRY_YOUNG_S", -1.0)

    pod.recovery.sweep()

    pod.until(lambda: pod.sessions.orphans(limit=10) == [])
    assert [it["turn_id"] for it in pod.events()] == told


def test_the_log_of_turns_has_all_of_them_whoever_is_told_of_sessions(
    server: RedisServer,
) -> None:
    log = TurnLog(texts=False, cipher=NoCipher())
    pod = TestPod("a", server, session_events="none", turn_log=log)
    pod.judges()
    for turn_id in ("t1", "t2"):
        pod.submit(turn_id)
        assert pod.engine.wait(key(turn_id), ANYBODY, timeout_s=60) is not None
    pod.until_idle()
    assert pod.events() == []
    assert pod.store.client.xlen("kn:{bus}:turn_log") == 2
