"""Questions that were not answered well, kept so that people can answer them: drafts of an FAQ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kotaemon_node.domain.session import TurnKey


@dataclass(frozen=True, slots=True)
class Unmet:
    """A turn whose answer does not know, or that somebody rated down."""

    key: TurnKey
    kb: str
    question: str
    """As it is shown: without addresses and long numbers."""
    version: int
    """Place of the turn in its session."""
    at: float
    down: bool
    """It was rated down."""


@dataclass(frozen=True, slots=True)
class Example:
    """Where a question was asked."""

    session_id: str
    turn_id: str
    version: int


@dataclass(frozen=True, slots=True)
class DraftRow:
    """One wording of a question. Times are in seconds since 1970."""

    id: str
    question: str
    """As it was asked last."""
    asked: int
    down: int
    """How often it is here because of a rating."""
    first_at: float
    last_at: float
    dismissed: int
    """How often it had been asked when somebody dismissed it; 0: nobody has."""
    examples: tuple[Example, ...]
    """The newest first."""


class FaqDrafts(Protocol):
    """At most ``FAQ_DRAFTS_MAX`` wordings of a knowledge base, those asked most often.

    Every method raises ``StoreUnavailable``.
    """

    def note(self, unmet: Unmet) -> None:
        """Count it; the same turn again, within two hours, changes nothing."""
        ...

    def rows(self, tenant: str, kb: str) -> Sequence[DraftRow]:
        """Return all wordings of a knowledge base."""
        ...

    def dismiss(self, tenant: str, kb: str, ids: Sequence[str]) -> None:
        """Note that these are not wanted as they are now; unknown ones are passed over."""
        ...
