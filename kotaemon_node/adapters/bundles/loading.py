"""Starts a plugin from its bundle: fetched, checked, unpacked, and given its configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from kotaemon_node.adapters.bundles.secrets import PluginSecrets, secret_values
from kotaemon_node.adapters.bundles.shelf import BundleShelf
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.plugin_manifest import Manifest
from kotaemon_node.ports.plugin_registry import PluginRefused, Wanted
from kotaemon_node.ports.plugins import Plugin, PluginCall, PluginDescription
from kotaemon_node.ports.runtime import StopSignal


class Started(Plugin, Protocol):
    """A plugin whose process runs."""

    def retire(self) -> None:
        """See ``ports.plugin_registry.LoadedPlugin``."""
        ...


class Start(Protocol):
    """Starts the process of a plugin."""

    def __call__(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        config: Mapping[str, Any],
        secrets: Sequence[str],
    ) -> Started:
        """Return it when it can be called; ``PluginRefused`` where it does not start.

        ``secrets`` are texts in ``config``; no log and no error may tell them.
        """
        ...


class ReadManifest(Protocol):
    """Reads the manifest in a plugin's files."""

    def __call__(self, files: Mapping[str, bytes]) -> Manifest:
        """Return it (path → content); ``Invalid`` or ``TooLarge`` where it is none."""
        ...


class _Loaded:
    """``ports.plugin_registry.LoadedPlugin``: a started plugin that knows its version."""

    def __init__(self, started: Started, *, version: str, mark: str) -> None:
        self._started = started
        self.description: PluginDescription = replace(started.description, version=version)
        self.mark = mark

    def call(self, call: PluginCall, *, stop: StopSignal) -> Any:
        return self._started.call(call, stop=stop)

    def retire(self) -> None:
        self._started.retire()


class BundleLoader:
    """``ports.plugin_registry.PluginLoader``."""

    def __init__(
        self, shelf: BundleShelf, secrets: PluginSecrets, *, read: ReadManifest, start: Start
    ) -> None:
        self._shelf = shelf
        self._secrets = secrets
        self._read = read
        self._start = start
        # What the manifest of a bundle that was opened configures: it may name secrets, too.
        self._declared: dict[str, Mapping[str, Any]] = {}

    def mark(self, wanted: Wanted) -> str:
        """See the port."""
        return self._secrets.mark(self._config(wanted))

    def load(self, wanted: Wanted) -> _Loaded:
        """See the port."""
        folder = self._shelf.folder_of(wanted.name, wanted.release)
        try:
            manifest = self._read(self._shelf.files(wanted.name, wanted.release))
        except NodeError as error:
            raise PluginRefused(str(error)) from None
        self._declared[wanted.release.bundle] = manifest.config
        config = self._config(wanted)
        mark = self._secrets.mark(config)
        try:
            filled = self._secrets.filled(config)
        except ValueError as error:
            raise PluginRefused(str(error)) from None
        if problem := manifest.problem_of(filled):
            # The value may be a secret: nothing of it is told.
            raise PluginRefused(f"its configuration is not what config_schema says: {problem}")
        secrets = tuple(secret_values(config, filled))
        started = self._start(folder, manifest, config=filled, secrets=secrets)
        return _Loaded(started, version=wanted.release.version, mark=mark)

    def _config(self, wanted: Wanted) -> Mapping[str, Any]:
        """What the operator says stands over what the manifest says."""
        return {**self._declared.get(wanted.release.bundle, {}), **wanted.release.config}
