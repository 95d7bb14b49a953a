"""Calls with effects, and calls that were refused, are entries of the audit log."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.engine.audited_calls import proposal_digest
from kotaemon_node.engine.ledger import outcome_of
from kotaemon_node.engine.tool_calls import DecidedCall
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.ports.language_model import ToolCall
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.services import FakeClock
from tests.unit.test_engine_tool_steps import WORK, Box, Notes


class Log:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)


def told(
    decided: DecidedCall, *, effects: str = "idempotent", journal: Mapping[str, Any] | None = None
) -> list[AuditEvent]:
    log, notes = Log(), Notes(journal)
    box = Box(effects, notes, lambda: {"ok": True})
    steps = ToolSteps(box, clock=FakeClock(), metrics=Metrics(), audit=log)
    steps.run([decided], WORK, notes, round_number=1)  # type: ignore[arg-type]
    return log.events


ACT = DecidedCall(ToolCall("c", "act", {"order": "secret-1003"}), "idempotent")


def test_a_confirmed_action_is_told_with_the_digest_of_what_was_proposed() -> None:
    decided = replace(ACT, summary="Cancel order 1003")
    [event] = told(decided)
    assert (event.action, event.outcome, event.target) == ("tool.called", "done", "act")
    assert event.detail["confirmed"] == proposal_digest(decided)
    assert event.detail["key"] == "default:s1:e:t1:1.1"
    assert "secret-1003" not in str(event)
    other = replace(decided, call=replace(decided.call, arguments={"order": "1004"}))
    assert proposal_digest(other) != proposal_digest(decided)


def test_a_call_that_only_reads_is_no_entry() -> None:
    assert told(replace(ACT, effects="read"), effects="read") == []


def test_a_tool_that_was_not_offered_is_told() -> None:
    [event] = told(DecidedCall(ToolCall("c", "rm", {}), None))
    assert (event.action, event.outcome, event.target) == ("tool.refused", "refused", "rm")
    assert event.detail["reason"] == "unlisted"


def test_what_changed_since_the_yes_is_told() -> None:
    [event] = told(replace(ACT, summary="Cancel", version="another"))
    assert (event.action, event.detail["reason"]) == ("tool.refused", "changed")


def test_a_call_that_is_replayed_is_told_once_by_who_made_it() -> None:
    known = {"result:1.1": outcome_of("done", {"ok": True}).as_json()}
    assert told(ACT, journal=known) == []
