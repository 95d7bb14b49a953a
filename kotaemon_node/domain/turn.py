"""A turn as a state machine: what may follow what. No I/O, no clock, no logging.

Rule 1: every transition of a turn is a row of ``TRANSITIONS``; there is no other place for one.
Rule 2: this file knows nothing of Redis, HTTP or threads; effects belong to ``engine``.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from kotaemon_node.domain.errors import IllegalTransition


class State(Enum):
    """The states of a turn; the values are what users read."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Signal(Enum):
    """What can happen to a turn."""

    CLAIMED = "claimed"
    FRAME_STORED = "frame_stored"
    OWNER_LOST = "owner_lost"
    ANSWER_COMPLETE = "answer_complete"
    GAVE_UP = "gave_up"
    CANCEL = "cancel"
    INTERRUPT = "interrupt"


TRANSITIONS: Final[Mapping[State, Mapping[Signal, State]]] = {
    State.QUEUED: {
        Signal.CLAIMED: State.RUNNING,
        Signal.CANCEL: State.CANCELLED,
        Signal.INTERRUPT: State.INTERRUPTED,
    },
    State.RUNNING: {
        Signal.FRAME_STORED: State.RUNNING,
        # A lost owner changes who runs the turn, not what the turn is: the next owner goes on.
        Signal.OWNER_LOST: State.RUNNING,
        Signal.ANSWER_COMPLETE: State.DONE,
        Signal.GAVE_UP: State.FAILED,
        Signal.CANCEL: State.CANCELLED,
        Signal.INTERRUPT: State.INTERRUPTED,
    },
    State.DONE: {},
    State.FAILED: {},
    State.CANCELLED: {},
    State.INTERRUPTED: {},
}

FINISHED: Final = frozenset(state for state, rows in TRANSITIONS.items() if not rows)


def advance(state: State, signal: Signal) -> State:
    """Return the state that follows; raise ``IllegalTransition`` where the table has no row."""
    try:
        return TRANSITIONS[state][signal]
    except KeyError:
        raise IllegalTransition(f"{signal.name} in state {state.name}") from None
