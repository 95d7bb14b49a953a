"""What plugins keep, in Redis: a string a key, and an index that bounds their number."""

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.ports.cipher import SealedPlace
from kotaemon_node.ports.plugin_storage import PluginName, PluginStorageFull


class RedisPluginStorage:
    """``ports.plugin_storage.PluginStorage``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def get(self, owner: PluginName, key: str) -> str | None:
        """See the port."""
        with store_errors():
            stored = self._store.client.get(keys.kept(owner.tenant, owner.plugin, key))
        return (
            None if stored is None else self._store.cipher.open(stored, _place(owner, key)).decode()
        )

    def set(self, owner: PluginName, key: str, value: str, *, ttl_s: float) -> None:
        """See the port."""
        ttl_ms = max(1, int(1000 * ttl_s))
        sealed = self._store.cipher.seal(value.encode(), _place(owner, key))
        arguments = [key, ttl_ms, limits.PLUGIN_VALUES_MAX, sealed]
        if self._store.run("plugin_keep", _keys(owner, key), arguments) == b"full":
            raise PluginStorageFull(f"there are {limits.PLUGIN_VALUES_MAX} keys already")

    def delete(self, owner: PluginName, key: str) -> None:
        """See the port."""
        self._store.run("plugin_keep", _keys(owner, key), [key, 0, limits.PLUGIN_VALUES_MAX, ""])


def _place(owner: PluginName, key: str) -> SealedPlace:
    return SealedPlace(owner.tenant, f"kept {owner.plugin} {key}")


def _keys(owner: PluginName, key: str) -> list[str]:
    return [
        keys.kept(owner.tenant, owner.plugin, key),
        keys.kept_keys(owner.tenant, owner.plugin),
    ]
