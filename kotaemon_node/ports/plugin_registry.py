"""Which plugins are wanted, for all pods alike; and what brings one of them into this pod."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kotaemon_node.domain.plugin_releases import PluginRow, Release
from kotaemon_node.ports.plugins import Plugin

Change = Callable[[PluginRow | None], PluginRow | None]
"""Makes the row that is wanted from the one that is there; None: there is none, or shall be none.

It may be asked more than once, and what it raises leaves the row alone.
"""


@dataclass(frozen=True, slots=True)
class Desired:
    """What is wanted of all plugins of a tenant."""

    revision: int = 0
    """Rises with each change, also after a store that forgot all."""
    rows: Mapping[str, PluginRow] = field(default_factory=dict)


class PluginRegistry(Protocol):
    """The desired state. Every call may raise ``StoreUnavailable``."""

    def revision(self, tenant: str) -> int:
        """Return the revision that stands now; 0 where nothing was ever wanted."""
        ...

    def read(self, tenant: str) -> Desired:
        """Return all rows and their revision, of one moment."""
        ...

    def change(self, tenant: str, name: str, change: Change) -> tuple[PluginRow | None, int]:
        """Replace one row by what ``change`` makes of it; return it and the revision then.

        Atomic: of two that change a row at once each sees what the other made. A row that stays as
        it is raises no revision. ``Overloaded`` beyond ``PLUGINS_MAX``, and where others change it
        all the time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version of a plugin that a pod is to have."""

    name: str
    release: Release
    reloads: int = 0


class PluginRefused(Exception):
    """A version that cannot be used here, and why; its message may be shown to operators."""


class LoadedPlugin(Plugin, Protocol):
    """A plugin that was started here and has to be ended."""

    @property
    def mark(self) -> str:
        """What ``PluginLoader.mark`` was when its secrets were read."""
        ...

    def retire(self) -> None:
        """End it when its running calls have ended; returns at once, may be repeated."""
        ...


class PluginLoader(Protocol):
    """Starts versions of plugins. Thread safe."""

    def mark(self, wanted: Wanted) -> str:
        """Return what changes when a secret that its configuration names does; never the secret."""
        ...

    def load(self, wanted: Wanted) -> LoadedPlugin:
        """Fetch, check and start it; returns when it can be called. Raises ``PluginRefused``."""
        ...


class BundleStore(Protocol):
    """The bundles of plugins, beside the generations of knowledge."""

    def check(self, name: str, release: Release) -> None:
        """Return when a trusted key signed the bundle for this plugin, else ``PluginRefused``."""
        ...

    def add(self, raw: bytes) -> str:
        """Keep a bundle and return its sha256 (hex). Raises ``ArtifactsUnavailable``."""
        ...

    def files(self, name: str, release: Release) -> Mapping[str, bytes]:
        """Return the files of a bundle (path → content), its signature and content checked.

        Raises ``PluginRefused``.
        """
        ...
