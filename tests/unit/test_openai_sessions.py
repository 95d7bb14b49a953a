"""Chats in a session that stays: what is sent again is one turn, what is said again is another."""

from typing import Any

import pytest

from kotaemon_node.domain.errors import Draining
from kotaemon_node.domain.session import TurnKey
from kotaemon_node.domain.turn import State
from tests.fakes.services import FakeCluster
from tests.openai_door import door, sdk

YES = [{"role": "user", "content": "yes"}]


def say(cluster: FakeCluster, messages: Any = YES, **headers: Any) -> str:
    """Return the id of the turn that answers."""
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    answer = sdk(cluster).chat.completions.create(
        model="kotaemon", messages=messages, extra_headers={"X-Session-ID": "s1", **named}
    )
    return answer.id


def ended(cluster: FakeCluster, ago_s: float) -> None:
    """Let the session's last turn have ended so long ago; the store of the test says 100 s."""
    cluster.clock.at_s = 100.0 + ago_s


def test_a_second_yes_is_another_turn_of_the_session() -> None:
    cluster = door()
    ended(cluster, 1)
    assert len({say(cluster) for _ in range(3)}) == 3
    assert [turn.message for turn in cluster.turns.submitted] == ["yes"] * 3
    assert len({turn.key.session for turn in cluster.turns.submitted}) == 1


def test_what_the_sdk_repeats_by_itself_just_behind_the_answer_is_the_same_turn() -> None:
    cluster = door()
    first = say(cluster)
    ended(cluster, 9)
    assert say(cluster, X_Stainless_Retry_Count=1) == first
    assert say(cluster, [{"role": "user", "content": "no"}], X_Stainless_Retry_Count=1) != first
    # Another turn came between, so this repeats something that was never taken.
    assert say(cluster, X_Stainless_Retry_Count=1) != first
    assert len(cluster.turns.submitted) == 3


def test_what_the_sdk_repeats_long_behind_the_answer_was_never_taken() -> None:
    cluster = door()
    first = say(cluster)
    ended(cluster, 60)
    assert say(cluster, X_Stainless_Retry_Count=2) != first


def test_the_sdk_itself_says_that_it_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = door()
    submit, refusals = cluster.turns.submit, [Draining("leaving")]

    def cut(request: Any) -> Any:
        outcome = submit(request)
        if refusals:
            raise refusals.pop()  # taken, but the client is not told so
        return outcome

    monkeypatch.setattr(cluster.turns, "submit", cut)
    sdk(cluster).with_options(max_retries=2).chat.completions.create(
        model="kotaemon",
        messages=YES,  # type: ignore[arg-type]
        extra_headers={"X-Session-ID": "s1"},
    )
    assert len(cluster.turns.submitted) == 1


def test_what_the_balancer_sends_again_is_the_same_turn_whenever_it_ended() -> None:
    cluster = door()
    first = say(cluster, X_Turn_Default="b1")
    ended(cluster, 300)
    assert say(cluster, X_Turn_Default="b1") == first
    assert say(cluster, X_Turn_Default="b2") != first


def test_while_the_newest_turn_runs_the_same_words_are_the_same_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = door()
    cluster.turns.ending = {"state": State.RUNNING, "answer": ""}
    client = cluster.client()
    body = {"model": "kotaemon", "messages": YES, "stream": True}
    for _ in range(2):
        client.post("/v1/chat/completions", json=body, headers={"X-Session-ID": "s1"})
    assert len(cluster.turns.submitted) == 1
    (key,) = cluster.sessions.running
    # Behind another message that waits they are said anew.
    cluster.sessions.running[TurnKey(key.session, "other")] = cluster.sessions.running[key]
    client.post("/v1/chat/completions", json=body, headers={"X-Session-ID": "s1"})
    assert len(cluster.turns.submitted) == 2


def test_a_turn_that_failed_is_tried_again() -> None:
    cluster = door()
    cluster.turns.ending = {"state": State.FAILED, "error": {"code": "internal", "message": "x"}}
    client = cluster.client()
    body = {"model": "kotaemon", "messages": YES, "stream": True}
    headers = {"X-Session-ID": "s1", "X-Stainless-Retry-Count": "1"}
    for _ in range(2):
        client.post("/v1/chat/completions", json=body, headers=headers)
    assert len(cluster.turns.submitted) == 2
