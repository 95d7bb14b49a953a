"""``session_updated``: a session has a newer version; what this pod remembers of it is behind.

Nothing relies on it: a claim checks by version and hash whatever is remembered.
"""

from typing import Protocol

from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.listeners.payload import fields_of
from kotaemon_node.ports.events import Message


class Newer(Protocol):
    """Is told the version that a session is said to have. May be told twice, late, or wrongly."""

    def __call__(self, key: SessionKey, *, epoch: str, version: int) -> None:
        """Heed it."""
        ...


class SessionUpdatedListener:
    """Handles events of all tenants. Safe to call twice, late, or in any order."""

    def __init__(self, *, newer: Newer) -> None:
        self._newer = newer

    def handle(self, message: Message) -> bool:
        """Return whether the event was for us; raises ``ValueError`` for a poison message."""
        fields = fields_of(message)
        session_id = checked_id("session_id", fields.get("session_id"))
        tenant = checked_id("tenant", fields.get("tenant"))
        epoch, version = fields.get("epoch"), fields.get("version")
        if not isinstance(epoch, str) or not isinstance(version, int):
            raise ValueError("epoch and version are not a text and a whole number")  # noqa: TRY004 - bad data, no bug
        self._newer(SessionKey(tenant, session_id), epoch=epoch, version=version)
        return True
