"""A finished turn comes back from the history as it was, with every field that a turn has."""

from dataclasses import MISSING, fields

from kotaemon_node.adapters.redis.records import turn_json, turn_of
from kotaemon_node.adapters.redis.session_seals import SessionSeals
from kotaemon_node.domain.session import SessionKey, Turn
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.cipher import NoCipher

TURN = Turn(
    "t1",
    "When?",
    State.DONE,
    answer="Soon. [1]",
    sources=({"n": 1, "document": "a.md"},),
    version=7,
    generation={"default": 3},
    owner="worker-0.a",
    attempts=2,
    usage={"prompt_tokens": 5},
    timings={"total": 0.4},
    degraded="language_model_timeout",
    error={"code": "internal", "message": "internal error", "retryable": False},
    trace_id="a" * 32,
    created_at=1_700_000_000.5,
    profile="tone/a",
    unanswered=True,
    faq=True,
    cached=True,
    author="agent",
    name="Ann",
    event="handoff",
    handoff=True,
    origin="follow_up",
    ref="r1",
)
"""Every field has another value than its default: one that is new wants one, too."""


def default_of(name: str) -> object:
    field = next(field for field in fields(Turn) if field.name == name)
    return field.default if field.default_factory is MISSING else field.default_factory()


def test_a_turn_is_kept_with_all_its_fields() -> None:
    names = [field.name for field in fields(Turn)]
    assert [name for name in names if getattr(TURN, name) == default_of(name)] == []

    seals = SessionSeals(NoCipher(), SessionKey("default", "s1"))
    assert turn_of(turn_json(TURN, last_seq=9), seals, version=7) == (TURN, 9)
