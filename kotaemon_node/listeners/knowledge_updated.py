"""``knowledge_updated``: look whether there is a newer generation of this knowledge base."""

from collections.abc import Callable

from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.trace_context import is_trace_id
from kotaemon_node.listeners.payload import fields_of
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.traces import NO_TRACES, Traces


class KnowledgeUpdatedListener:
    """Handles events of all tenants. Safe to call twice, late, or in any order."""

    def __init__(
        self, *, look: Callable[[str, str, int], None], traces: Traces = NO_TRACES
    ) -> None:
        """``look`` is told tenant, knowledge base and generation."""
        self._look = look
        self._traces = traces

    def handle(self, message: Message) -> bool:
        """Return whether the event was for us; raises ``ValueError`` for a poison message."""
        fields = fields_of(message)
        tenant = checked_id("tenant", fields.get("tenant"))
        generation = fields.get("generation")
        if not isinstance(generation, int):
            raise ValueError("generation is not a whole number")  # noqa: TRY004 - bad data, no bug
        kb, trace_id = checked_id("kb", fields.get("kb")), fields.get("trace_id")
        if not (isinstance(trace_id, str) and is_trace_id(trace_id)):
            self._look(tenant, kb, generation)  # of a version before traces
            return True
        above = self._traces.known(trace_id)
        with self._traces.begin("knowledge_updated", trace_id=trace_id, above=above):
            self._look(tenant, kb, generation)
        return True
