"""What runs while a session goes back to the bot, or is being ended while it goes to a person."""

import threading
from typing import Any

import pytest

from kotaemon_node.domain.turn import State
from kotaemon_node.ports.sessions import Committed, Ending, Lease
from tests.engine_pods import ANYBODY, PIECES, Stall, key
from tests.handed_pods import SESSION, WAIT_S, DeskPod, bot_text_behind_handoff
from tests.integration.test_session_stream import Device
from tests.redis_server import RedisServer

ANSWER = "".join(PIECES)


class HeldCommit:
    """Holds the first commit of a turn of a pod."""

    def __init__(self, pod: DeskPod, turn_id: str) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        self._commit, self._turn_id = pod.sessions.commit, turn_id
        pod.sessions.commit = self  # type: ignore[assignment, method-assign]

    def __call__(self, lease: Lease, ending: Ending, **rest: Any) -> Committed:
        if lease.key.turn_id == self._turn_id and not self.reached.is_set():
            self.reached.set()
            assert self.go.wait(WAIT_S)
        return self._commit(lease, ending, **rest)


def taken_with_a_person(pod: DeskPod) -> HeldCommit:
    """Have a person in the session, and a message that is taken and not committed yet."""
    pod.ask("t0")
    pod.hand_off()
    pod.until_idle()
    held = HeldCommit(pod, "t1")
    pod.submit("t1")
    assert held.reached.wait(WAIT_S)
    return held


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
def test_a_message_that_is_taken_while_the_session_goes_back_is_answered(
    server: RedisServer, elsewhere: bool
) -> None:
    pod, other = DeskPod("pod", server), DeskPod("other", server)
    for one in (pod, other):
        one.judges()
    held = taken_with_a_person(pod)
    device = Device(other)

    (other if elsewhere else pod).hand_back()
    pod.until(lambda: bool(pod.sessions.turn(key("t1"), ANYBODY).answer))
    held.go.set()
    pod.until_idle()
    other.until_idle()
    device.until_ended("t1")

    told = [(one.message, one.answer, one.event, one.handoff) for one in pod.history()]
    assert told[2:] == [("when?", ANSWER, "handback", False)]
    assert pod.with_person() is None
    assert pod.handoffs.count() == 0
    seen = [one for one in device.frames if one.type in {"handoff", "text"}]
    assert [one.fields["active"] for one in seen if one.type == "handoff"] == [True, False]
    assert [one.type for one in seen[:2]] == ["handoff", "handoff"]  # and behind them the answer
    assert pod.ask("t2").answer == ANSWER


def test_a_handback_that_is_said_again_has_the_message_answered_once(server: RedisServer) -> None:
    pod, other = DeskPod("pod", server), DeskPod("other", server)
    pod.judges()
    held = taken_with_a_person(pod)
    # Whoever gave it back died before it did what was left.
    dead = DeskPod("dead", server)
    dead.engine.take = lambda key, **_: False  # type: ignore[assignment, method-assign]
    dead.hand_back()
    dead.hand_back()
    assert pod.sessions.turn(key("t1"), ANYBODY).owner is None

    other.hand_back()

    turn = other.engine.wait(key("t1"), ANYBODY, timeout_s=WAIT_S)
    held.go.set()
    pod.until_idle()
    assert turn is not None
    assert turn.answer == ANSWER
    frames = other.frames("t1")
    assert [one.fields["active"] for one in frames if one.type == "handoff"] == [False]
    assert [one.turn_id for one in other.history()][2:] == ["t1"]


def test_what_a_person_says_while_the_session_goes_back_is_said(server: RedisServer) -> None:
    pod, other = DeskPod("pod", server), DeskPod("other", server)
    pod.ask("t0")
    pod.hand_off()
    pod.until_idle()
    held = HeldCommit(pod, "m1")
    saying = threading.Thread(target=lambda: pod.say("Bye.", message_id="m1"))
    saying.start()
    assert held.reached.wait(WAIT_S)

    other.hand_back()
    held.go.set()
    saying.join(WAIT_S)

    pod.until(lambda: len(pod.history()) == 4)
    told = [(one.answer, one.event) for one in pod.history()]
    assert told[2:] == [("Bye.", ""), ("", "handback")]


def test_handed_off_again_at_once_the_message_is_the_persons(server: RedisServer) -> None:
    stall = Stall(1)
    pod, other = DeskPod("pod", server), DeskPod("other", server, stall)
    for one in (pod, other):
        one.judges()
    held = taken_with_a_person(pod)

    other.hand_back()
    assert stall.reached.wait(WAIT_S)
    other.until_shown("t1", PIECES[0])
    other.hand_off()
    for go in (stall.go, held.go):
        go.set()
    pod.until_idle()
    other.until_idle()

    turn = pod.sessions.turn(key("t1"), ANYBODY)
    assert (turn.state, turn.answer, turn.event) == (State.INTERRUPTED, PIECES[0], "handoff")
    assert not bot_text_behind_handoff(pod.frames("t1"))
    assert pod.with_person() is not None


def test_a_turn_that_is_being_cancelled_stays_cancelled(server: RedisServer) -> None:
    stall = Stall(1)
    pod, other = DeskPod("pod", server, stall), DeskPod("other", server)
    other.judges()
    pod.submit("t1")
    assert stall.reached.wait(WAIT_S)
    # Who cancels it dies before its commit.
    assert other.sessions.seize(key("t1"), "dead", from_owner=None, ending="cancel") is not None

    other.hand_off()
    stall.go.set()
    pod.until_idle()

    [turn] = other.sessions.load(SESSION, ANYBODY, after_version=0, limit=10).turns
    assert (turn.state, turn.event) == (State.CANCELLED, "handoff")
