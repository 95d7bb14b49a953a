"""``config_updated`` of the kind ``data_keys``: keys of a tenant were made or destroyed."""

from collections.abc import Callable

from kotaemon_node.domain.events import DATA_KEYS
from kotaemon_node.listeners.dispatch import Listener
from kotaemon_node.listeners.payload import fields_of
from kotaemon_node.ports.events import Message


class DataKeysUpdatedListener:
    """Handles the events of all tenants, and leaves those of other kinds to ``others``.

    Safe to call twice, late, or in any order.
    """

    def __init__(self, look: Callable[[str], None], *, others: Listener) -> None:
        """``look`` is given the tenant whose keys are to be read again."""
        self._look = look
        self._others = others

    def handle(self, message: Message) -> bool:
        """Return whether the event was for us; raises ``ValueError`` for a poison message."""
        fields = fields_of(message)
        kind, tenant = fields.get("kind"), fields.get("tenant")
        if kind != DATA_KEYS:
            return self._others.handle(message)
        if not isinstance(tenant, str):
            raise ValueError("tenant is no text")  # noqa: TRY004 - bad data, no bug
        self._look(tenant)
        return True
