"""``session_updated``: a session has a newer version.

Sessions are read from the store with their version each time, so there is nothing to invalidate
yet; the event is checked and counted, so that its absence shows before anything relies on it.
"""

from kotaemon_node.domain.ids import checked_id
from kotaemon_node.listeners.payload import fields_of
from kotaemon_node.ports.events import Message


class SessionUpdatedListener:
    """Handles events of one tenant. Safe to call twice, late, or in any order."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant

    def handle(self, message: Message) -> bool:
        """Return whether the event was for us; raises ``ValueError`` for a poison message."""
        fields = fields_of(message)
        checked_id("session_id", fields.get("session_id"))
        return fields.get("tenant") == self._tenant
