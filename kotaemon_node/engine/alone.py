"""What a turn that is alone in its session does otherwise: it calls nobody, no call outlives it.

Nobody reads such a session once its one turn has ended (``engine.given``, rule 3).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from kotaemon_node.engine.ledger import Outcome, outcome_of

TOO_LONG: Final = {
    "error": "this takes longer than an answer, and nobody could be told here how it ends; "
    "nothing was done"
}
"""Told of a call that would go on behind the turn, and is not made."""
_NOBODY: Final = "no person can be called here: say so, and do not say that somebody comes"


def without_person(outcome: Outcome) -> Outcome:
    """Return ``outcome`` so that it asks for no person, but says that none can be called."""
    value = None if outcome.cut else outcome.value
    if not isinstance(value, Mapping):
        return outcome
    inner = value.get("result")
    if value.get("handoff") is True:
        denied = {**value, "handoff": False}
    elif isinstance(inner, Mapping) and inner.get("handoff") is True:
        denied = {**value, "result": {**inner, "handoff": False}}
    else:
        return outcome
    told = outcome_of(outcome.state, {**denied, "note": _NOBODY})
    return replace(outcome, told=told.told, cut=told.cut)


def was_denied(value: Any) -> bool:
    """Tell whether a call's result asked for a person where none can be called."""
    return isinstance(value, Mapping) and value.get("note") == _NOBODY
