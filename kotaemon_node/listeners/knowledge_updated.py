"""``knowledge_updated``: look whether there is a newer generation of this knowledge base."""

from collections.abc import Callable

from kotaemon_node.domain.ids import checked_id
from kotaemon_node.listeners.payload import fields_of
from kotaemon_node.ports.events import Message


class KnowledgeUpdatedListener:
    """Handles events of one tenant. Safe to call twice, late, or in any order."""

    def __init__(self, tenant: str, *, look: Callable[[str, int], None]) -> None:
        self._tenant = tenant
        self._look = look

    def handle(self, message: Message) -> bool:
        """Return whether the event was for us; raises ``ValueError`` for a poison message."""
        fields = fields_of(message)
        if fields.get("tenant") != self._tenant:
            return False
        generation = fields.get("generation")
        if not isinstance(generation, int):
            raise ValueError("generation is not a whole number")  # noqa: TRY004 - bad data, no bug
        self._look(checked_id("kb", fields.get("kb")), generation)
        return True
