"""The order in which a call is noted, made and told: what a pod that dies leaves behind."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Fenced
from kotaemon_node.domain.session import SessionKey, SessionView, TurnKey
from kotaemon_node.engine.ledger import Outcome
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.tool_calls import DecidedCall
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.ports.language_model import ToolCall
from kotaemon_node.ports.sessions import Lease, Work
from kotaemon_node.ports.tools import Caller, ToolFailed, ToolOutcomeUnknown, ToolSpec
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.services import FakeClock

SESSION = SessionView("s1", "e", 0, "", 0.0, 0.0, ())
LEASE = Lease(TurnKey(SessionKey("default", "s1"), "t1"), "e", 1, "a", "trace")
WORK = Work(LEASE, "?", {}, session=SESSION, attempts=1)
BEGUN = {"begun:1.1": True}


class Notes:
    """Stands where the writer stands, and notes the order of what it is told."""

    def __init__(self, journal: Mapping[str, Any] | None = None) -> None:
        self.stop = Stop()
        self.journal = dict(journal or {})
        self.order: list[str] = []
        self.frames: list[Mapping[str, Any]] = []
        self.fenced = False
        self.age_s = 0.0

    def decided(self, step: str) -> Any:
        return self.journal.get(step)

    def steps(self, prefix: str) -> list[tuple[str, Any]]:
        found = [it for it in self.journal.items() if it[0].startswith(prefix)]
        return [(step.removeprefix(prefix), said) for step, said in found]

    def decide(self, step: str, result: Any) -> None:
        self.journal[step] = result
        self.order.append(step)

    def tool_call(self, fields: Mapping[str, Any]) -> None:
        self.frames.append(fields)
        self.order.append(fields["state"])

    def drain(self) -> None:
        if self.fenced:
            raise Fenced("another pod owns the turn")
        self.order.append("stored")


class Box:
    """One tool, ``act``, whose calls do what ``act`` says."""

    def __init__(self, effects: str, notes: Notes, act: Callable[[], Any]) -> None:
        self._spec = ToolSpec("act", "Acts.", {}, effects)  # type: ignore[arg-type]
        self._notes, self._act = notes, act
        self.keys: list[str] = []

    def specs(self, caller: Caller) -> Sequence[ToolSpec]:
        return (self._spec,)

    def call(self, name: str, arguments: Mapping[str, Any], *, key: str, **_: Any) -> Any:
        self.keys.append(key)
        self._notes.order.append("called")
        return self._act()


def ran(
    notes: Notes, effects: str, act: Callable[[], Any] = lambda: {"ok": True}
) -> tuple[Outcome, Box]:
    box = Box(effects, notes, act)
    decided = DecidedCall(ToolCall("c", "act", {"x": 1}), effects)  # type: ignore[arg-type]
    steps = ToolSteps(box, clock=FakeClock(), metrics=Metrics())
    (outcome,) = steps.run([decided], WORK, notes, round_number=1)  # type: ignore[arg-type]
    return outcome, box


@pytest.mark.parametrize("effects", ["read", "idempotent", "once"])
def test_a_call_is_noted_as_begun_and_stored_before_it_is_made(effects: str) -> None:
    notes = Notes()
    outcome, box = ran(notes, effects)
    assert outcome == Outcome("done", '{"ok":true}')
    assert notes.order == [
        "begun:1.1", "started", "stored", "called", "result:1.1", "done",
    ]  # fmt: skip
    assert box.keys == ["default:s1:e:t1:1.1"]


@pytest.mark.parametrize("journal", [{}, BEGUN])
def test_who_lost_the_turn_calls_nothing(journal: Mapping[str, Any]) -> None:
    notes = Notes(journal)
    notes.fenced = True
    with pytest.raises(Fenced):
        ran(notes, "idempotent")
    assert "called" not in notes.order


def test_a_result_that_is_known_is_neither_called_for_nor_shown_again() -> None:
    notes = Notes({**BEGUN, "result:1.1": {"state": "done", "told": "7", "cut": False}})
    outcome, _ = ran(notes, "once")
    assert outcome == Outcome("done", "7")
    assert notes.order == []


@pytest.mark.parametrize(
    ("effects", "order"),
    [
        ("read", ["begun:1.1", "stored", "called", "result:1.1", "done"]),
        ("idempotent", ["begun:1.1", "stored", "called", "result:1.1", "done"]),
        ("once", ["result:1.1", "unknown"]),
    ],
)
def test_a_call_in_doubt(effects: str, order: list[str]) -> None:
    notes = Notes(BEGUN)
    ran(notes, effects)
    assert notes.order == order


@pytest.mark.parametrize(
    ("effects", "again", "error", "state"),
    [
        ("once", False, ToolFailed("no", reached=False), "failed"),
        ("once", False, ToolFailed("no", reached=True), "failed"),
        ("once", False, ToolOutcomeUnknown("lost"), "unknown"),
        ("idempotent", False, ToolOutcomeUnknown("lost"), "unknown"),
        ("read", False, ToolOutcomeUnknown("lost"), "failed"),
        # The first owner may have reached it, unless it answers for that call too.
        ("idempotent", True, ToolFailed("no", reached=False), "unknown"),
        ("idempotent", True, ToolFailed("no", reached=True), "failed"),
        ("idempotent", True, ToolFailed("not now", reached=True, fault=True), "unknown"),
        ("idempotent", False, ToolFailed("not now", reached=True, fault=True), "failed"),
        ("read", True, ToolFailed("no", reached=False), "failed"),
    ],
)
def test_what_is_known_of_a_call_that_went_wrong(
    effects: str, again: bool, error: Exception, state: str
) -> None:
    def fail() -> Any:
        raise error

    outcome, _ = ran(Notes(BEGUN if again else {}), effects, fail)
    assert outcome.state == state
    assert ("it is not known whether it was done" in outcome.told) == (state == "unknown")


def test_a_long_result_is_cut_before_it_is_kept() -> None:
    notes = Notes()
    outcome, _ = ran(notes, "read", lambda: ["到" * 50_000])
    assert outcome.cut
    assert len(outcome.told) == limits.TOOL_RESULT_CHARS_MAX
    assert notes.frames[-1]["result"] == outcome.told


def test_what_is_journalled_is_read_back() -> None:
    decided = DecidedCall(ToolCall("c", "act", None), None)
    assert DecidedCall.from_json(decided.as_json()) == decided
