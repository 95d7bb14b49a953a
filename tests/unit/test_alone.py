"""A turn that is alone in its session calls nobody, and no call outlives it."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kotaemon_node.engine.alone import was_denied
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.handoff import Persons
from kotaemon_node.ports.later import SLOW_CALL
from tests.calls import WORK, Calls, Writer

NOTHING: Mapping[str, Any] = {}
ALONE = replace(WORK, options={"alone": True})


@pytest.mark.parametrize(
    "answer",
    [
        {"handoff": True, "reason": "fraud"},
        {"result": {"handoff": True, "reason": "fraud"}},
        {"result": "I call a colleague.", "handoff": True},
    ],
)
def test_a_tool_that_answers_handoff_calls_nobody_and_its_result_says_so(answer: Any) -> None:
    for work, called in ((WORK, True), (ALONE, False)):
        calls, out = Calls(), Writer()
        calls.tools.add("check", lambda *_: answer)
        (outcome,) = calls.run(out, ("check", NOTHING), work=work)
        wanted = Persons().wanted(work, Draft(), out)  # type: ignore[arg-type]
        assert (wanted is not None) is called
        assert was_denied(outcome.value) is not called
        assert ("no person can be called here" in str(out.frames[-1])) is not called


def test_not_even_what_an_older_pod_journalled_calls_anybody() -> None:
    out = Writer({"result:1.1": {"state": "done", "told": '{"handoff":true}', "cut": False}})
    assert Persons().wanted(ALONE, Draft(), out) is None  # type: ignore[arg-type]


def test_a_slow_tool_is_not_called_where_nobody_could_be_told_how_it_ends() -> None:
    calls, out = Calls(), Writer()
    calls.tools.add("render", lambda *_: "video.mp4", "idempotent", slow=True)
    (outcome,) = calls.run(out, ("render", NOTHING), work=ALONE)
    assert (outcome.state, outcome.later) == ("failed", False)
    assert "nothing was done" in outcome.told
    assert not calls.tools.called
    assert not calls.jobs(SLOW_CALL)


def test_one_that_only_takes_long_is_waited_for() -> None:
    calls, go, out = Calls(), threading.Event(), Writer()
    calls.tools.add("book", lambda *_: go.wait(60) and "Seat 7.", "once")
    since_s = calls.clock.monotonic_s()

    class Patient(Writer):
        def note_progress(self) -> None:
            if calls.clock.monotonic_s() - since_s > 60:  # three times as long as others wait
                go.set()

    out = Patient()
    (outcome,) = calls.run(out, ("book", NOTHING), work=ALONE)
    assert (outcome.state, outcome.value) == ("done", "Seat 7.")
    assert not calls.jobs(SLOW_CALL)
