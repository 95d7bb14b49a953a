"""What is wanted of plugins, and their bundles: into a backup and back.

Law 1: a row comes back behind all bundles that it names, and only where nothing is wanted of a
       plugin of this name: what was changed since is not undone.
Law 2: a bundle keeps its signature, which is in its row: pods that do not trust the key refuse it,
       wherever it comes from.
"""

import json
from collections.abc import Mapping
from typing import Any

import structlog

from kotaemon_node.backup.format import Backup
from kotaemon_node.backup.restoring import Restored
from kotaemon_node.backup.shelf import Shelf, checksum
from kotaemon_node.backup.writing import Tell, Writer
from kotaemon_node.domain.artifact_names import bundle_digest, bundle_name
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.plugin_releases import PluginRow, row_from_json, row_to_json
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.plugin_registry import PluginRegistry

_log = structlog.get_logger(__name__)


class PluginsCopying:
    """Copies what is wanted of the plugins of a tenant."""

    def __init__(self, registry: PluginRegistry, artifacts: ArtifactStore, *, tenant: str) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._tenant = tenant

    def run(self, writer: Writer, tell: Tell) -> tuple[str, ...]:
        """Return the blobs: of all rows first, then of the bundles; empty where there are none."""
        rows = self._registry.read(self._tenant).rows
        if not rows:
            return ()
        said = {name: row_to_json(row) for name, row in rows.items()}
        bundles: list[str] = []
        for digest in sorted({one.bundle for row in rows.values() for one in row.releases()}):
            raw = self._artifacts.get(bundle_name(self._tenant, digest))
            if raw is None or writer.put(raw) != digest:
                # No pod can start it either; the row says what is missing.
                _log.error("bundle_damaged", bundle=digest)
                continue
            bundles.append(digest)
            tell("plugins", 1)
        return (writer.put(json.dumps(said, sort_keys=True).encode()), *bundles)


class PluginsRestoring:
    """Brings them back."""

    def __init__(
        self, shelf: Shelf, registry: PluginRegistry, artifacts: ArtifactStore, *, tell: Tell
    ) -> None:
        self._shelf = shelf
        self._registry = registry
        self._artifacts = artifacts
        self._tell = tell

    def run(self, backup: Backup) -> Restored:
        """Put back what nothing is wanted of here; what is damaged is told."""
        done = Restored()
        if not backup.plugins:
            return done
        for digest in backup.plugins[1:]:
            self._bundle(backup.tenant, digest, done)
        for name, row in self._rows(backup).items():
            self._row(backup.tenant, name, row, done)
            self._tell("plugins", 1)
        return done

    def look(self, backup: Backup) -> Restored:
        """Say what ``run`` would do, and change nothing."""
        done = Restored()
        here = self._registry.read(backup.tenant).rows if backup.plugins else {}
        for name in self._rows(backup) if backup.plugins else ():
            done.there += name in here
            done.restored += name not in here
        return done

    def _bundle(self, tenant: str, digest: str, done: Restored) -> None:
        try:
            path = self._shelf.file(digest)
        except CorruptArtifact as error:
            done.note(done.damaged, f"the bundle of a plugin: {error}")
            return
        name = bundle_name(tenant, digest)
        if bundle_digest(name) is None:
            raise CorruptArtifact(f"{digest[:80]!r} is not the name of a bundle")
        if self._artifacts.put_file_if_absent(name, path):
            return
        if checksum(self._artifacts.open_local(name)) != digest:
            self._artifacts.delete(name)  # under this name nothing else is of any use
            self._artifacts.put_file_if_absent(name, path)

    def _rows(self, backup: Backup) -> Mapping[str, PluginRow]:
        try:
            said: Mapping[str, Any] = json.loads(self._shelf.content(backup.plugins[0]))
            return {name: row_from_json(name, raw) for name, raw in said.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise CorruptArtifact(f"what was wanted of plugins cannot be read: {error}") from error

    def _row(self, tenant: str, name: str, row: PluginRow, done: Restored) -> None:
        was: list[PluginRow | None] = []

        def change(here: PluginRow | None) -> PluginRow:
            was.append(here)
            return row if here is None else here

        self._registry.change(tenant, name, change)
        if was[-1] is None:
            done.restored += 1
            return
        done.there += 1
        if was[-1] != row:
            done.note(done.differs, f"the plugin {name}")
