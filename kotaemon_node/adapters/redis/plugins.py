"""What is wanted of plugins, in Redis: one hash a tenant, and a revision that rises with it."""

from collections.abc import Mapping
from typing import Final

import structlog

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.domain import acting_limits as bounds
from kotaemon_node.domain.errors import Overloaded
from kotaemon_node.domain.plugin_releases import PluginRow, row_from_json, row_to_json
from kotaemon_node.ports.plugin_registry import Change, Desired

_log = structlog.get_logger(__name__)

_REVISION: Final = "#revision"  # no plugin is called so


class RedisPlugins:
    """``ports.plugin_registry.PluginRegistry``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def revision(self, tenant: str) -> int:
        """See the port."""
        with store_errors():
            return _number(self._store.client.hget(keys.plugins(tenant), _REVISION))

    def read(self, tenant: str) -> Desired:
        """See the port."""
        with store_errors():
            fields = self._store.client.hgetall(keys.plugins(tenant))
        revision = _number(fields.pop(_REVISION.encode(), None))
        return Desired(revision, _rows(fields))

    def change(self, tenant: str, name: str, change: Change) -> tuple[PluginRow | None, int]:
        """See the port."""
        key = keys.plugins(tenant)
        for _ in range(bounds.PLUGIN_CHANGE_TRIES):
            with store_errors():
                held = self._store.client.hget(key, name) or b""
            row = change(_row(name, held))
            wanted = row_to_json(row) if row is not None else ""
            reply = self._store.run("plugin", [key], [name, held, wanted, bounds.PLUGINS_MAX])
            if reply == b"full":
                raise Overloaded(f"there are {bounds.PLUGINS_MAX} plugins; remove some first")
            if reply != b"changed":
                return row, int(reply)
        raise Overloaded(f"others change the plugin {name} all the time")


def _rows(fields: Mapping[bytes, bytes]) -> Mapping[str, PluginRow]:
    found = ((name.decode(), _row(name.decode(), raw)) for name, raw in fields.items())
    return {name: row for name, row in sorted(found) if row is not None}


def _row(name: str, raw: bytes) -> PluginRow | None:
    """Return what a row says; one that cannot be read wants nothing, and others go on."""
    if not raw:
        return None
    try:
        return row_from_json(name, raw)
    except (ValueError, TypeError) as error:
        _log.warning("plugin_row_unreadable", plugin=name, reason=str(error))
        return None


def _number(raw: bytes | None) -> int:
    return int(raw) if raw and raw.isdigit() else 0
