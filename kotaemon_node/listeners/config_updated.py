"""``config_updated``: what is wanted of plugins changed; look at it now."""

from collections.abc import Callable

from kotaemon_node.domain.events import PLUGIN
from kotaemon_node.listeners.payload import fields_of
from kotaemon_node.ports.events import Message


class ConfigUpdatedListener:
    """Handles events of one tenant. Safe to call twice, late, or in any order."""

    def __init__(self, tenant: str, *, look: Callable[[], None]) -> None:
        self._tenant = tenant
        self._look = look

    def handle(self, message: Message) -> bool:
        """Return whether the event was for us; raises ``ValueError`` for a poison message."""
        fields = fields_of(message)
        kind, tenant = fields.get("kind"), fields.get("tenant")
        if not isinstance(kind, str) or not isinstance(tenant, str):
            raise ValueError("kind and tenant are not texts")  # noqa: TRY004 - bad data, no bug
        if tenant != self._tenant or kind != PLUGIN:
            return False
        self._look()
        return True
