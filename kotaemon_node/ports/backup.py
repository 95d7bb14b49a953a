"""What backups ask of the session store: every session whole, and putting one back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from kotaemon_node.domain.session import SessionKey
from kotaemon_node.domain.session_copy import SessionCopy

PutBack = Literal["ok", "there", "ended"]
"""``there``: the store or the archive has a session of this id, and it stays as it is. ``ended``:
it was deleted here since the copy, its loss was told and it is to keep its epoch, or its time is
over."""


@dataclass(frozen=True, slots=True)
class Head:
    """By what a session that changed is known: it differs in one of these."""

    epoch: str
    version: int
    fence: int
    active_ms: int


class WholeSessions(Protocol):
    """Every session of one tenant. Every method may raise ``StoreUnavailable`` and be repeated.

    Reading holds up nobody: it goes through the store a part at a time.
    """

    def keys(self) -> Iterator[SessionKey]:
        """Yield the sessions that are not archived, in no order, some perhaps twice.

        None is missed that is there from the first to the last; what begins meanwhile may be.
        """
        ...

    def heads(self, keys: Sequence[SessionKey]) -> Sequence[Head | None]:
        """Return the heads of ``keys`` in their order; None where a session is not there."""
        ...

    def copy(self, key: SessionKey) -> SessionCopy | None:
        """Read a session as it was at one moment, with its finished turns; None: not there.

        Raises ``TooLarge`` beyond ``ARCHIVED_SESSION_BYTES_MAX``, ``CorruptArtifact`` where the
        history is not the one of its version and hash.
        """
        ...

    def deleted(self, keys: Sequence[SessionKey]) -> Sequence[bool]:
        """Tell of each whether it was deleted and copies of it may still lie in the archive."""
        ...

    def put_back(self, copy: SessionCopy, *, epoch: str) -> PutBack:
        """Bring a session back under ``epoch``, whole or not at all, where there is none."""
        ...

    def put_mark(self, copy: SessionCopy) -> PutBack:
        """Note that ``copy`` lies in the archive, and show it in its principal's list."""
        ...

    def access(self) -> bytes | None:
        """Return digests of API keys and the secret behind ids of sessions; None: there is none.

        Of ``default``, whose admins run the cluster, all keys; of another tenant its own alone.
        """
        ...

    def put_access(self, access: bytes, *, is_empty: bool) -> Sequence[str]:
        """Put ``access`` back; return, in words, what differs here and stays.

        A tenant's keys come back only where it has none, for some may have been revoked; keys of
        others, which a backup of ``default`` has, where there are none at all. The secret is
        replaced where the store ``is_empty`` of sessions, those of other tenants, too: else ids of
        those would be unknown.
        """
        ...

    def known(self, key: SessionKey) -> bool:
        """Tell whether the store knows anything of a session: alive, archived or deleted."""
        ...
