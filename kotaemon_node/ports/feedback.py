"""What people say of answers; kept with the session, outside of its history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from kotaemon_node.domain.session import SessionKey, TurnKey

Rating = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Feedback:
    """A rating of one answer. ``at`` is when it was given, in seconds since 1970."""

    rating: Rating
    comment: str
    at: float


class FeedbackStore(Protocol):
    """Feedback by turn; it lives and rests as long as its session."""

    def put(self, key: TurnKey, feedback: Feedback) -> Feedback | None:
        """Keep it in place of what was said before, and return that.

        The caller has seen to it that the session is its own. Raises ``TurnNotFound`` where the
        session has no finished turn of this id, ``StoreUnavailable``.
        """
        ...

    def of(self, key: SessionKey, turn_ids: Sequence[str]) -> Mapping[str, Feedback]:
        """Return what was said of these turns. Raises ``StoreUnavailable``."""
        ...
