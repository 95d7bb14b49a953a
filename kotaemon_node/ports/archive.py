"""What moves sessions that rest to the artifact store asks of the session store.

A session is in one place at a time: ``SessionStore`` brings it back when somebody asks for it.
Every method may raise ``StoreUnavailable``, and may be repeated with the effect of once; two that
archive the same session at once do no harm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from kotaemon_node.domain.session import SessionKey
from kotaemon_node.domain.session_copy import SessionCopy

Verdict = Literal["rests", "busy", "active", "archived", "deleted", "expired", "ended"]
"""``rests``: to be archived. ``busy``: a turn runs or waits. ``active``: it did something since.
``deleted``: its copies are to be removed. ``expired``: its life ended before it was archived.
``archived``, ``ended``: nothing is to be done."""


Archived = Literal["ok", "changed", "awake", "gone"]
"""``changed``: it stays, and never is again what was copied. ``awake``: it stays, because it does
not rest any more, and may be copied again as it is. ``gone``: it was not there."""


@dataclass(frozen=True, slots=True)
class IdleEntry:
    """An entry of the index of idle sessions; ``at_ms`` is its place there."""

    key: SessionKey
    at_ms: float


@dataclass(frozen=True, slots=True)
class Look:
    """What was found of a session. ``copied``: copies of it may lie in the archive already."""

    verdict: Verdict
    since_ms: int = 0
    copied: bool = False


class ColdSessions(Protocol):
    """Sessions that have rested for long."""

    def due(self, *, rested_s: float, limit: int) -> Sequence[IdleEntry]:
        """Return at most ``limit`` sessions that seem to have rested so long, the oldest first."""
        ...

    def look(self, key: SessionKey, *, rested_s: float) -> Look:
        """Say what is to be done with a session."""
        ...

    def copy(self, key: SessionKey) -> SessionCopy | None:
        """Read the whole session; None where there is none.

        What changes meanwhile makes ``archive`` refuse the copy. Raises ``TooLarge`` for one beyond
        ``ARCHIVED_SESSION_BYTES_MAX``, and ``CorruptArtifact`` where its history is not whole.
        """
        ...

    def archive(self, copy: SessionCopy, *, rested_s: float, kept_s: float) -> Archived:
        """Remove the session, of which ``copy`` can be read in the archive, if it is still so."""
        ...

    def mark(
        self, copy: SessionCopy, *, kept_s: float
    ) -> Literal["marked", "live", "kept", "ended"]:
        """Note that there is ``copy`` where the store knows nothing of its session.

        ``live``: the session is there. ``kept``: it is noted as archived already. ``ended``: it was
        deleted, its loss was told, or the time of the copy is over; it must not come back.
        """
        ...

    def purged(self, key: SessionKey) -> None:
        """Note that the copies of a deleted session are removed."""
        ...

    def settle(self, entry: IdleEntry, *, again_at_ms: float | None) -> None:
        """Move the entry, or take it out, unless something happened to its session meanwhile."""
        ...

    def now_ms(self) -> int:
        """Return the time of the store's clock."""
        ...
