"""What the routes of delayed jobs and dead letters give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kotaemon_node.ports.later import LaterRow, LaterState

# Whoever keeps the cluster is no reader of its conversations: texts are left out.
_SHOWN = ("session", "ref", "to", "channel", "turn", "tool", "plugin", "key")
_SHOWN_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class LaterForm:
    """A delayed job. ``error`` is why its last attempt failed, or what it waits for.

    ``due_at`` is when it is begun; of a running one when another pod may begin it, of a dead letter
    when it died. ``about`` are names out of it, never texts.
    """

    job: str
    kind: str
    state: LaterState
    attempts: int
    attempts_max: int
    due_at: float
    created_at: float
    error: str
    about: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LaterList:
    """Delayed jobs that have not ended, those that are due first."""

    jobs: Sequence[LaterForm]


@dataclass(frozen=True, slots=True)
class DeadLetterList:
    """Dead letters, newest first."""

    dead_letters: Sequence[LaterForm]


def later_form(row: LaterRow) -> LaterForm:
    """Return a job as it is shown."""
    return LaterForm(
        job=row.name,
        kind=row.kind,
        state=row.state,
        attempts=row.attempts,
        attempts_max=row.attempts_max,
        due_at=row.due_at,
        created_at=row.created_at,
        error=row.error,
        about={
            name: value[:_SHOWN_CHARS_MAX]
            for name in _SHOWN
            if isinstance(value := row.fields.get(name), str)
        },
    )
