"""What plugins keep: JSON texts under keys, each plugin of each tenant for itself."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PluginName:
    """Whose values."""

    tenant: str
    plugin: str


class PluginStorageFull(Exception):
    """The plugin has as many keys as it may have; its message says how many."""


class PluginStorage(Protocol):
    """Values of plugins. Thread safe; every call may raise ``StoreUnavailable``.

    All versions of a plugin, and all pods, see the same. A value is gone when its time is over.
    """

    def get(self, owner: PluginName, key: str) -> str | None:
        """Return what ``set`` kept, None where nothing is kept."""
        ...

    def set(self, owner: PluginName, key: str, value: str, *, ttl_s: float) -> None:
        """Keep ``value`` for ``ttl_s`` seconds. ``PluginStorageFull`` beyond the number of keys."""
        ...

    def delete(self, owner: PluginName, key: str) -> None:
        """Forget ``key``; one that is not there is forgotten already."""
        ...
