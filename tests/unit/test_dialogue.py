"""The state of a session as a value: bounded, and read back whatever wrote it."""

import json

from kotaemon_node.domain.acting_limits import (
    STATE_ENTITY_VALUES_MAX,
    STATE_PENDING_BYTES_MAX,
    STATE_SLOTS_MAX,
    STATE_VALUE_BYTES_MAX,
)
from kotaemon_node.domain.dialogue import DialogueState, Pending, Wanted

PENDING = Pending("cancel", {"order": "1003"}, "Cancel order 1003", "once", 3, "v", "t4", 12.5)
WANTED = Wanted("query_order", "order_id", ("1001", "1003"), "Where is it?", "t4", 12.5)


def test_it_is_read_back_as_it_was_written() -> None:
    state = DialogueState(
        {"a": [1, "x"]}, "topic", ("query_order",), PENDING, WANTED, {"order_id": ("1001",)}
    )
    assert DialogueState.from_json(json.loads(json.dumps(state.to_json()))) == state
    assert DialogueState().to_json() == {}


def test_slots_said_longest_ago_are_forgotten_and_one_said_again_is_the_newest() -> None:
    state = DialogueState()
    for number in range(STATE_SLOTS_MAX):
        state = state.saying({f"s{number}": number})
    state = state.saying({"s0": "again"}).saying({"one": 1})
    assert len(state.slots) == STATE_SLOTS_MAX
    assert "s1" not in state.slots
    assert list(state.slots.items())[-2:] == [("s0", "again"), ("one", 1)]


def test_a_value_is_kept_whole_or_not_at_all() -> None:
    longest = "x" * (STATE_VALUE_BYTES_MAX - 2)
    state = DialogueState().saying({"long": longest, "longer": longest + "x", "half": "\ud800"})
    assert state.slots == {"long": longest}
    assert not DialogueState().saying({"": 1, "n" * 65: 1}).slots


def test_what_the_last_answer_named_is_bounded() -> None:
    many = [str(number) for number in range(50)]
    state = DialogueState(entities={"old": ("1",)}).naming({"order_id": many, "none": []})
    assert state.entities == {"order_id": tuple(many[:STATE_ENTITY_VALUES_MAX])}


def test_a_proposal_that_is_too_large_does_not_fit() -> None:
    assert PENDING.fits
    large = Pending("p", {"a": "x" * STATE_PENDING_BYTES_MAX}, "s", "once", 0)
    assert not large.fits


def test_a_proposal_that_is_not_understood_is_none() -> None:
    row = json.loads(json.dumps(DialogueState(pending=PENDING, wanted=WANTED).to_json()))
    for wrong in ({"effects": "twice"}, {"arguments": "all"}, {"asked_at": "now"}, {"plugin": 3}):
        said = {**row, "pending": {**row["pending"], **wrong}}
        assert DialogueState.from_json(said) == DialogueState(wanted=WANTED)
    said = {**row, "wanted": {**row["wanted"], "choices": 5}}
    assert DialogueState.from_json(said) == DialogueState(pending=PENDING)
