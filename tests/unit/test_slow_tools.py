"""Calls beside each other, calls that take long, and calls that outlive their turn."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kotaemon_node.domain.errors import NotFound
from kotaemon_node.domain.session import Turn
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.reconciling import Reconciling, Settling
from kotaemon_node.ports.later import RECONCILE, SLOW_CALL, Again, LaterJob
from kotaemon_node.ports.tools import Effects, Found, ToolOutcomeUnknown
from tests.calls import WORK, Calls, Writer, until

NOTHING: Mapping[str, Any] = {}


def test_reads_of_one_round_are_made_beside_each_other_and_told_in_order() -> None:
    calls, second_is_done = Calls(), threading.Event()

    def first(*_: Any) -> Any:
        assert second_is_done.wait(60)
        return 1

    def second(*_: Any) -> Any:
        second_is_done.set()
        return 2

    calls.tools.add("first", first)
    calls.tools.add("second", second)
    out = Writer()
    outcomes = calls.run(out, ("first", NOTHING), ("second", NOTHING))
    assert [outcome.told for outcome in outcomes] == ["1", "2"]
    assert [frame["state"] for frame in out.frames[:2]] == ["started"] * 2
    assert {frame["step"]: frame["result"] for frame in out.frames[2:]} == {"1.1": 1, "1.2": 2}


def test_what_changes_something_is_called_one_by_one_in_the_models_order() -> None:
    calls, running = Calls(), list[str]()

    def act(arguments: Mapping[str, Any], key: str) -> Any:
        running.append(key)
        threading.Event().wait(0.02)
        assert running == [key]
        running.clear()

    calls.tools.add("act", act, "idempotent")
    calls.run(Writer(), *[("act", {"n": n}) for n in range(3)])
    assert [key.rpartition(":")[2] for _, key in calls.tools.called] == ["1.1", "1.2", "1.3"]


def test_a_call_that_takes_long_says_so_once_also_after_a_takeover() -> None:
    calls, go = Calls(), threading.Event()
    calls.tools.add("look", lambda *_: go.wait(60))
    out = Writer()

    def waiting(_: Any) -> str:
        go.set()
        return "Please wait.\n\n"

    calls.run(out, ("look", NOTHING), waiting=waiting)
    assert (out.phases, out.texts) == (["waiting"], ["Please wait.\n\n"])
    heir = Writer(out.journal)
    calls.run(heir, ("look", NOTHING), waiting=waiting)
    assert heir.texts == ["Please wait.\n\n"]
    assert len(calls.tools.called) == 1


def test_a_call_that_outlives_its_turn_is_told_when_it_ends() -> None:
    calls, go = Calls(), threading.Event()
    calls.tools.add("book", lambda *_: go.wait(60) and {"result": "Seat 7."}, "once")
    out = Writer()
    (outcome,) = calls.run(out, ("book", {"day": "Monday"}))
    assert outcome.later
    assert "told here how it ends" in outcome.told
    assert out.frames[-1]["state"] == "started"
    assert out.frames[-1]["later"] is True
    # A pod that takes the turn over leaves it as it is
    (again,) = calls.run(Writer(out.journal), ("book", {"day": "Monday"}))
    assert again.later
    assert not calls.told()
    go.set()
    until(lambda: bool(calls.told()))
    assert calls.told() == ["It is finished: book (day: Monday)\n\nSeat 7."]
    # And the job that stands by for a dead pod neither calls nor tells anything again
    (job,) = calls.jobs(SLOW_CALL)
    handlers(calls).slow(job)
    assert len(calls.tools.called) == len(calls.told()) == 1
    Settling(calls.later, clock=calls.clock)(WORK, out)  # type: ignore[arg-type]
    assert not calls.jobs(RECONCILE)


def test_a_slow_tool_is_called_behind_its_turn() -> None:
    calls = Calls()
    calls.tools.add("render", lambda *_: {"result": "video.mp4"}, "idempotent", slow=True)
    out = Writer()
    (outcome,) = calls.run(out, ("render", NOTHING))
    assert outcome.later
    assert not calls.tools.called
    assert calls.run(Writer(), ("render", NOTHING))[0].later  # put again, it is the same job
    (job,) = calls.jobs(SLOW_CALL)
    handlers(calls).slow(attempted(job, 1))
    assert calls.told() == ["It is finished: render\n\nvideo.mp4"]


def test_of_a_slow_call_whose_job_tells_how_it_ends_nobody_asks_besides() -> None:
    calls, out = Calls(), Writer()
    calls.tools.add("act", lambda *_: "ok", "once", slow=True, looks_up=True)
    calls.run(out, ("act", NOTHING))
    begun = {step: value for step, value in out.journal.items() if step.startswith("begun:")}
    assert begun

    # Its pod died before it noted that the call goes on behind the turn.
    Settling(calls.later, clock=calls.clock)(WORK, Writer(begun))  # type: ignore[arg-type]

    assert not calls.jobs(RECONCILE)


@pytest.mark.parametrize(
    ("effects", "called", "told"),
    [
        ("idempotent", 1, "It is finished"),
        ("once", 0, "could not find out whether this went through"),
    ],
)
def test_a_slow_call_whose_pod_died_is_made_again_only_where_that_is_harmless(
    effects: Effects, called: int, told: str
) -> None:
    calls = Calls()
    calls.tools.add("act", lambda *_: "ok", effects, slow=True)
    calls.run(Writer(), ("act", NOTHING))
    (job,) = calls.jobs(SLOW_CALL)
    handlers(calls).slow(attempted(job, 2))
    assert len(calls.tools.called) == called
    assert told in calls.told()[0]


def test_a_slow_call_that_may_act_twice_is_looked_up_until_a_no_is_a_proof() -> None:
    calls = Calls()
    calls.tools.add("act", lambda *_: "ok", "once", slow=True, looks_up=True, horizon_s=90.0)
    calls.run(Writer(), ("act", NOTHING))
    (job,) = calls.jobs(SLOW_CALL)
    calls.tools.found = Found(False)
    handlers(calls).slow(attempted(job, 2))
    assert not calls.told()
    (proof,) = (it for it in calls.later.kept.values() if it.job.kind == RECONCILE)
    assert proof.due_s - calls.clock.monotonic_s() > 100
    handlers(calls).reconcile(attempted(proof.job, 1))
    assert "This did not happen" in calls.told()[0]
    assert not calls.tools.called


# --- outcomes that are unknown as a turn ends ------------------------------------------------


def unknown(effects: Effects, **options: Any) -> tuple[Calls, list[LaterJob]]:
    """Return a turn's call whose answer was lost, and the jobs that find out about it."""
    calls, out = Calls(), Writer()
    acts = iter([ToolOutcomeUnknown("lost"), "ok"])

    def act(*_: Any) -> Any:
        now = next(acts)
        if isinstance(now, Exception):
            raise now
        return now

    calls.tools.add("act", act, effects, **options)
    assert calls.run(out, ("act", NOTHING))[0].state == "unknown"
    for _ in range(2):  # whoever commits does so, perhaps again
        Settling(calls.later, clock=calls.clock, looks_s=(2.0,))(WORK, out)  # type: ignore[arg-type]
    return calls, calls.jobs(RECONCILE)


def handlers(calls: Calls, turn: Turn | None = None) -> Reconciling:
    ended = turn or Turn("t1", "?", State.DONE, owner="a", attempts=1)

    def turn_of(_: Any) -> Turn:
        if ended.turn_id == "gone":
            raise NotFound("no such session")
        return ended

    return Reconciling(
        calls.steps.calling,
        specs=calls.steps.specs,
        turn_of=turn_of,
        later=calls.later,
        follow_ups=calls.follow_ups,
        clock=calls.clock,
    )


def attempted(job: LaterJob, attempt: int) -> LaterJob:
    return replace(job, attempt=attempt, begun=attempt)


def test_what_nobody_can_know_is_not_asked_for() -> None:
    assert unknown("once")[1] == []


def test_a_yes_counts_at_once_and_a_no_when_the_call_and_its_horizon_are_over() -> None:
    calls, (early, proof) = unknown("once", looks_up=True, timeout_s=10.0, horizon_s=30.0)
    assert early.due_in_s == 2
    assert 45 <= proof.due_in_s <= 60
    calls.tools.found = Found(False)
    handlers(calls).reconcile(attempted(early, 1))
    assert not calls.told()
    calls.tools.found = Found(True, {"result": "Cancelled."})
    handlers(calls).reconcile(attempted(proof, 1))
    handlers(calls).reconcile(attempted(proof, 2))
    assert calls.told() == ["I now know how it ended. This went through, once: act\n\nCancelled."]


def test_what_acts_once_under_its_key_is_called_again_under_it() -> None:
    calls, (proof,) = unknown("idempotent")
    handlers(calls).reconcile(attempted(proof, 1))
    assert len({key for _, key in calls.tools.called}) == 1
    assert "This went through, once" in calls.told()[0]


@pytest.mark.parametrize(
    "turn",
    [
        Turn("t1", "?", State.CANCELLED, owner="a", attempts=1),
        Turn("t1", "?", State.DONE, owner="b", attempts=1),
        Turn("t1", "?", State.DONE, owner="a", attempts=2),
        Turn("gone", "?", State.DONE, owner="a", attempts=1),
    ],
)
def test_a_turn_that_was_stopped_or_ended_by_another_pod_is_not_acted_for(turn: Turn) -> None:
    calls, (proof,) = unknown("idempotent")
    handlers(calls, turn).reconcile(attempted(proof, 1))
    assert len(calls.tools.called) == 1
    assert not calls.told()


def test_nothing_is_told_before_the_turn_has_ended() -> None:
    calls, (proof,) = unknown("idempotent")
    with pytest.raises(Again):
        handlers(calls, Turn("t1", "?", State.RUNNING)).reconcile(attempted(proof, 1))
    assert not calls.told()


def test_a_lookup_that_never_answers_is_told_at_last() -> None:
    calls, (early, proof) = unknown("once", looks_up=True)
    handlers(calls).reconcile(attempted(early, 1))
    with pytest.raises(ToolOutcomeUnknown):
        handlers(calls).reconcile(attempted(proof, 1))
    assert not calls.told()
    handlers(calls).reconcile(attempted(proof, proof.attempts_max))
    assert "I could not find out" in calls.told()[0]
