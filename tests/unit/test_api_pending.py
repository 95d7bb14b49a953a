"""What a session tells of a question that waits for an answer."""

from kotaemon_node.api.showing import session_form
from kotaemon_node.domain.dialogue import DialogueState, Pending, Wanted
from kotaemon_node.domain.session import SessionView

PENDING = Pending(
    plugin="order_cancel", arguments={"order_id": "1003"}, summary="Cancel order 1003",
    effects="once", asked_at_version=2, asked_by="turn-3",
)  # fmt: skip
WANTED = Wanted(intent="query_order", slot="order_id", choices=("1003", "1004"), asked_by="turn-4")


def test_a_proposal_is_told_with_its_turn_and_summary_only() -> None:
    pending = session_form(
        SessionView("s", "e", 3, "h", 1.0, 2.0, (), state=DialogueState(pending=PENDING)), {}
    ).pending

    assert pending is not None
    assert (pending.turn_id, pending.kind, pending.summary, tuple(pending.choices)) == (
        "turn-3", "yes", "Cancel order 1003", (),
    )  # fmt: skip


def test_a_question_for_a_value_is_told_with_its_choices() -> None:
    pending = session_form(
        SessionView("s", "e", 3, "h", 1.0, 2.0, (), state=DialogueState(wanted=WANTED)), {}
    ).pending

    assert pending is not None
    assert (pending.turn_id, pending.kind, pending.summary, tuple(pending.choices)) == (
        "turn-4", "value", "", ("1003", "1004"),
    )  # fmt: skip


def test_nothing_is_told_where_nothing_waits() -> None:
    assert session_form(SessionView("s", "e", 3, "h", 1.0, 2.0, ()), {}).pending is None
