"""Values of plugins in this process: for programs without a cluster."""

import threading

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.ports.plugin_storage import PluginName, PluginStorageFull
from kotaemon_node.ports.runtime import Clock


class MemoryPluginStorage:
    """``ports.plugin_storage.PluginStorage``."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[PluginName, dict[str, tuple[str, float]]] = {}

    def get(self, owner: PluginName, key: str) -> str | None:
        """See the port."""
        with self._lock:
            text, until_s = self._kept.get(owner, {}).get(key, ("", 0.0))
            return text if until_s > self._clock.monotonic_s() else None

    def set(self, owner: PluginName, key: str, value: str, *, ttl_s: float) -> None:
        """See the port."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            values = self._kept.setdefault(owner, {})
            for old in [it for it, (_, until_s) in values.items() if until_s <= now_s]:
                del values[old]
            if key not in values and len(values) >= limits.PLUGIN_VALUES_MAX:
                raise PluginStorageFull(f"there are {limits.PLUGIN_VALUES_MAX} keys already")
            values[key] = (value, now_s + ttl_s)

    def delete(self, owner: PluginName, key: str) -> None:
        """See the port."""
        with self._lock:
            self._kept.get(owner, {}).pop(key, None)
