"""A person takes a session, says something, and gives it back: on a real Redis, on several pods."""

import pytest

from kotaemon_node.domain.errors import Conflict, KnowledgeBehind, TurnConflict
from kotaemon_node.domain.session import SessionPlace
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.lending import Lending
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.sessions import Work
from tests.engine_pods import ANYBODY, PIECES, ScriptedAnswerer, Stall, key, text_of
from tests.handed_pods import SESSION, WAIT_S, DeskPod, bot_text_behind_handoff
from tests.integration.test_session_stream import Device
from tests.redis_server import RedisServer


def test_a_handoff_ends_what_runs_on_another_pod_with_what_was_shown(server: RedisServer) -> None:
    stall = Stall(3)
    here, there = DeskPod("here", server, stall), DeskPod("there", server)
    here.submit("t1")
    assert stall.reached.wait(WAIT_S)
    here.until_shown("t1", "".join(PIECES[:3]))

    begun = there.hand_off(reason="angry", by="agent")

    turn = there.sessions.turn(key("t1"), ANYBODY)
    assert (turn.state, turn.answer) == (State.INTERRUPTED, "".join(PIECES[:3]))
    assert turn.event == "handoff"
    frames = there.frames("t1")
    assert [one.type for one in frames[-2:]] == ["handoff", "done"]
    told = {"active": True, "reason": "angry", "by": "agent", "since": begun.since}
    assert frames[-2].fields == told
    # the one that had it wakes up, and nothing of it is stored
    stall.go.set()
    here.until_idle()
    assert there.frames("t1") == frames
    assert not bot_text_behind_handoff(frames)
    assert there.with_person() == begun
    assert [one.turn_id for one in there.history()] == ["t1"]


def test_while_a_person_has_it_messages_are_taken_and_no_bot_answers(server: RedisServer) -> None:
    here, there = DeskPod("here", server), DeskPod("there", server)
    here.ask("t1")
    here.hand_off()

    turn = there.ask("t2", "are you there?")

    assert (turn.state, turn.answer, turn.handoff) == (State.DONE, "", True)
    assert there.answerer.runs == []
    assert there.ask("t2", "are you there?") == turn  # a retry
    assert [one.type for one in there.frames("t2")] == ["done"]
    assert there.frames("t2")[0].fields["handoff"] is True
    with pytest.raises(TurnConflict):
        there.ask("t2", "something else")


def test_messages_of_the_person_are_turns_once_each(server: RedisServer) -> None:
    here, there = DeskPod("here", server), DeskPod("there", server)
    here.ask("t1")
    with pytest.raises(Conflict):
        here.say("Hello", message_id="a0")
    here.hand_off()

    turn = here.say("Hello, I am Ann.", message_id="a1")
    assert there.say("Hello, I am Ann.", message_id="a1") == turn

    assert (turn.author, turn.name, turn.answer) == ("agent", "Ann", "Hello, I am Ann.")
    assert turn.message == ""
    frames = there.frames("a1")
    assert text_of(frames) == turn.answer
    [text] = [one for one in frames if one.type == "text"]
    assert text.fields == {"content": turn.answer, "offset": 0, "author": "agent", "name": "Ann"}
    assert frames[-1].fields["author"] == "agent"
    assert [one.turn_id for one in there.history()[-1:]] == ["a1"]
    with pytest.raises(TurnConflict):
        there.say("Something else", message_id="a1")


class Behind:
    """Knowledge of a pod that lacks what the session has seen."""

    def pinned(self, kb: str, *, min_generation: int = 0) -> None:
        raise KnowledgeBehind("not there yet")


def test_a_person_speaks_by_a_pod_that_is_behind_in_knowledge(server: RedisServer) -> None:
    pod = DeskPod("pod", server)
    pod.ask("t1")
    pod.hand_off()
    pod.engine._lending = Lending(Behind())  # type: ignore[arg-type]

    assert pod.say("I am here.", message_id="a1").answer == "I am here."
    with pytest.raises(KnowledgeBehind):
        pod.ask("t2")


def test_handed_back_the_bot_answers_and_knows_what_was_said(server: RedisServer) -> None:
    seen: list[list[str]] = []

    def gate(work: object, place: int) -> None:
        if place == 0:
            seen.append([one.answer for one in work.session.turns])  # type: ignore[attr-defined]

    here, there = DeskPod("here", server), DeskPod("there", server, gate)
    here.ask("t1")
    here.hand_off()
    here.say("It was sent on Monday.", message_id="a1")
    there.hand_back()
    there.hand_back()  # again: nothing happens

    assert here.with_person() is None
    turn = there.ask("t2")

    assert turn.answer == "".join(PIECES)
    assert seen[0][-1] == "Ann (a person): It was sent on Monday."
    assert [one.event for one in here.history()] == ["", "handoff", "", "handback", ""]
    assert here.handoffs.count() == 0


def test_turns_that_waited_are_taken_and_not_answered(server: RedisServer) -> None:
    stall = Stall(2)
    here, there = DeskPod("here", server, stall), DeskPod("there", server)
    here.submit("t1")
    assert stall.reached.wait(WAIT_S)
    here.submit("t2")

    there.hand_off()

    assert there.engine.wait(key("t2"), ANYBODY, timeout_s=WAIT_S) is not None
    states = [(one.turn_id, one.state.value, one.handoff) for one in there.history()]
    assert states == [("t1", "interrupted", False), ("t2", "done", True)]
    stall.go.set()
    here.until_idle()


def test_a_message_that_asks_for_a_person_gets_one(server: RedisServer) -> None:
    here, there = DeskPod("here", server), DeskPod("there", server)

    turn = here.ask("t1", "转人工")

    assert (turn.state, turn.event) == (State.DONE, "handoff")
    assert "人工" in turn.answer
    assert here.answerer.runs == []
    frames = there.frames("t1")
    assert [one.type for one in frames] == ["text", "handoff", "done"]
    assert [one.seq for one in frames] == [1, 2, 3]
    # from memory as from the store
    assert [one.as_dict() for one in here.frames("t1")] == [one.as_dict() for one in frames]
    begun = there.with_person()
    assert begun is not None
    assert (begun.by, begun.reason) == ("words", "转人工")
    assert there.ask("t2").handoff is True
    here.until(lambda: here.handoffs.count() == 1)


def test_who_follows_the_session_sees_it_and_who_comes_later_begins_with_it(
    server: RedisServer,
) -> None:
    here, there = DeskPod("here", server), DeskPod("there", server)
    here.ask("t1")
    device = Device(there)

    begun = here.hand_off(reason="refund")
    device.until(lambda: any(one.type == "handoff" for one in device.frames))
    here.say("Hello", message_id="a1")
    device.until_ended("a1")
    later = Device(there)
    later.until(lambda: len(later.frames) > 0)
    here.hand_back()
    device.until(lambda: sum(one.type == "handoff" for one in device.frames) == 2)
    later.until(lambda: len(later.frames) > 1)

    first, second = (one for one in device.frames if one.type == "handoff")
    assert first.fields == {"active": True, **begun.to_json()}
    assert second.fields["active"] is False
    [announced] = [one for one in device.frames if one.type == "turn" and one.turn_id == "a1"]
    assert announced.fields["author"] == "agent"
    assert text_of(device.of("a1")) == "Hello"
    greeting = later.frames[0]
    assert (greeting.type, greeting.seq, greeting.fields) == ("handoff", None, first.fields)
    # who comes back gets what was missed in its order, without a greeting
    again = Device(there, SessionPlace(version=1))
    again.until_ended("a1")
    # A status where a follower's pod was the first to begin what was accepted.
    numbered = [it.type for it in again.frames if it.seq is not None and it.type != "status"]
    assert numbered[:4] == ["handoff", "done", "text", "done"]


def test_a_second_handoff_changes_nothing(server: RedisServer) -> None:
    here, there = DeskPod("here", server), DeskPod("there", server)
    here.ask("t1")

    first = here.hand_off(reason="one")

    assert there.hand_off(reason="two", by="agent") == first
    here.until_idle()
    there.until_idle()
    assert [one.event for one in here.history()] == ["", "handoff"]


def test_a_pod_that_dies_between_the_steps_leaves_them_to_the_others(server: RedisServer) -> None:
    stall = Stall(2)
    here, there = DeskPod("here", server, stall), DeskPod("there", server)
    other = DeskPod("other", server)
    for pod in (here, there, other):
        pod.judges()
    here.submit("t1")
    assert stall.reached.wait(WAIT_S)
    here.until_shown("t1", "".join(PIECES[:2]))
    there.engine.break_off = lambda key: None  # type: ignore[method-assign] # it is dead by then

    there.hand_off()
    other.until(lambda: bool(other.recovery.sweep()) or bool(other.history()))
    other.until(lambda: bool(other.history()))

    [turn] = other.history()
    assert (turn.state, turn.answer) == (State.INTERRUPTED, "".join(PIECES[:2]))
    assert not bot_text_behind_handoff(other.frames("t1"))
    stall.go.set()
    here.until_idle()


class CallsPerson(ScriptedAnswerer):
    """Its tool answers that a person is needed."""

    def answer(self, work: Work, out: FrameWriter, *, started_s: float) -> Draft:
        draft = super().answer(work, out, started_s=started_s)
        told = '{"handoff": true, "reason": "the amount is too high"}'
        out.decide("result:1.1", {"state": "done", "told": told})
        return draft


def test_a_tool_that_answers_so_calls_a_person_behind_the_answer(server: RedisServer) -> None:
    here, there = DeskPod("here", server), DeskPod("there", server)
    object.__setattr__(here.engine._execution, "answerer", CallsPerson())

    turn = here.ask("t1")

    assert (turn.state, turn.answer, turn.event) == (State.DONE, "".join(PIECES), "handoff")
    frames = there.frames("t1")
    assert [one.type for one in frames[-2:]] == ["handoff", "done"]
    begun = there.with_person()
    assert begun is not None
    assert (begun.by, begun.reason) == ("tool", "the amount is too high")
    assert there.ask("t2").handoff is True
    counted = here.metrics.exposition().decode()
    assert 'kotaemon_handoffs_total{by="tool"} 1.0' in counted


def test_a_deleted_session_is_counted_no_more(server: RedisServer) -> None:
    here = DeskPod("here", server)
    here.ask("t1", "talk to a human")
    here.until(lambda: here.handoffs.count() == 1)

    here.sessions.delete(SESSION, ANYBODY)
    here.desk.forget(SESSION)

    assert here.handoffs.count() == 0
