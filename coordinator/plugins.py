"""The plugin folder: what lies there is wanted on all pods.

The coordinator that leads looks at it. A file that is new or changed becomes a version once two
looks found it the same; one that went takes its plugin with it. What cannot be read leaves the
version before in use, and the reason stands in what is wanted, where ``GET /v1/plugins`` shows it.
All state lies in the registry: whoever leads next goes on, and a registry that was lost is filled
again.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import orjson
import structlog

from coordinator.build import iso_time
from kotaemon_node.adapters.bundles import PluginFiles, check_source, read_plugins
from kotaemon_node.adapters.sandbox.manifest_file import read_manifest
from kotaemon_node.domain import acting_limits as bounds
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import bundle_digest, bundle_name, bundles_prefix
from kotaemon_node.domain.errors import Invalid, NodeError, Overloaded, TooLarge, Unavailable
from kotaemon_node.domain.events import CONFIG_UPDATED, PLUGIN, ConfigUpdated
from kotaemon_node.domain.plugin_bundle import digest_of, manifest_text, message_of, packed
from kotaemon_node.domain.plugin_releases import PluginRow, Release, with_release, with_signature
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.events import Bus, Message
from kotaemon_node.ports.plugin_registry import Change, Desired, PluginRegistry
from kotaemon_node.ports.runtime import Clock, IdSource
from kotaemon_node.ports.signing import Signer

_log = structlog.get_logger(__name__)

_BY: Final = "folder"
_CHECK_S: Final = 5.0  # between looks at whether the registry still has what was taken
_TIDY_S: Final = 60.0
_TREE_FILES_MAX: Final = 20_000

_Print = tuple[tuple[str, int, int, int], ...]
"""What of the folder changes when a file does: path, inode, time and size."""


class PluginFolder:
    """Keeps what is wanted like the folder. Used by one thread."""

    def __init__(
        self,
        folder: Path | None,
        *,
        registry: PluginRegistry,
        store: ArtifactStore,
        signer: Signer,
        bus: Bus,
        leads: Callable[[], bool],
        clock: Clock,
        ids: IdSource,
        tenant: str,
    ) -> None:
        """``folder`` None: there is none, and only old bundles are removed."""
        self._folder = folder
        self._registry = registry
        self._store = store
        self._signer = signer
        self._bus = bus
        self._leads = leads
        self._clock = clock
        self._ids = ids
        self._tenant = tenant
        self._stop = threading.Event()
        self._last: _Print | None = None
        self._taken: _Print | None = None
        self._checked_s = 0.0
        self._tidied_s = clock.monotonic_s()
        self._stored: set[str] = set()
        self._unnamed_since_s: dict[str, float] = {}
        self._complaint = ""

    def run(self) -> None:
        """Look until ``stop``."""
        while not self._stop.is_set():
            try:
                self.step()
                self._complaint = ""
            except (NodeError, OSError) as error:
                if str(error) != self._complaint:
                    _log.warning("plugin_folder_waits", reason=str(error))
                self._complaint = str(error)
                self._taken = None
            self._stop.wait(bounds.PLUGIN_FOLDER_LOOK_S)

    def stop(self) -> None:
        """End ``run``."""
        self._stop.set()

    def step(self) -> None:
        """Look once. Raises ``OSError`` and what registry and store raise; all may be repeated."""
        if not self._leads():
            self._taken = self._last = None
            self._stored.clear()
            self._unnamed_since_s.clear()
            return
        if self._folder is not None:
            self._follow(self._folder)
        if self._clock.monotonic_s() - self._tidied_s >= _TIDY_S:
            self._tidied_s = self._clock.monotonic_s()
            self._tidy()

    def _follow(self, folder: Path) -> None:
        found = _print_of(folder)
        still, self._last = found == self._last, found
        if not still:
            return
        now_s = self._clock.monotonic_s()
        if found == self._taken and now_s - self._checked_s < _CHECK_S:
            return
        plugins = read_plugins(folder)
        if _print_of(folder) != found:
            return  # it changed while it was read
        desired = self._registry.read(self._tenant)
        for name, row in desired.rows.items():
            if row.origin == "folder" and name not in plugins:
                self._remove(name)
        for plugin in plugins.values():
            try:
                self._take(plugin, desired)
            except Overloaded as error:
                # It waits for its place; others need not wait with it.
                _log.warning("plugin_file_waits", plugin=plugin.name, reason=str(error))
        self._taken, self._checked_s = found, now_s

    def _take(self, plugin: PluginFiles, desired: Desired) -> None:
        content = _content_digest(plugin)
        row = desired.rows.get(plugin.name)
        if row is not None and row.taken == content and self._has_all(row):
            return
        try:
            release = self._release(plugin)
        except (Invalid, TooLarge) as error:
            self._refuse(plugin.name, content, str(error))
            return

        def taken(row: PluginRow | None) -> PluginRow:
            row = row or PluginRow(plugin.name)
            if row.taken == content:
                # Taken before: what an operator changed since stands. A new key signs it anew.
                return with_signature(row, release)
            newest = row.newest
            noted = replace(row, origin="folder", taken=content, problem="")
            config = newest.config if newest is not None else {}
            return with_release(noted, replace(release, config=config))

        self._change(plugin.name, taken, told="plugin_taken")

    def _release(self, plugin: PluginFiles) -> Release:
        if plugin.problem:
            raise Invalid(plugin.problem)
        raw = packed(plugin.files)
        check_source(plugin.files)
        read_manifest(plugin.name, manifest_text(plugin.files))
        digest = digest_of(raw)
        self._store.put_if_absent(bundle_name(self._tenant, digest), raw)
        self._stored.add(digest)
        signature = self._signer.sign(message_of(plugin.name, digest))
        return Release(digest, self._signer.key_id, signature.hex())

    def _has_all(self, row: PluginRow) -> bool:
        """Tell whether what is wanted was stored in this lead and by our key, or is not ours."""
        newest = row.newest
        if row.origin != "folder" or row.problem or newest is None:
            return True
        return newest.bundle in self._stored and newest.key_id == self._signer.key_id

    def _refuse(self, name: str, content: str, reason: str) -> None:
        problem = reason[: bounds.PLUGIN_PROBLEM_CHARS_MAX]

        def noted(row: PluginRow | None) -> PluginRow:
            row = row or PluginRow(name, origin="folder")
            return replace(row, taken=content, problem=problem)

        self._change(name, noted, told="plugin_file_refused", reason=problem)

    def _remove(self, name: str) -> None:
        def gone(row: PluginRow | None) -> PluginRow | None:
            return row if row is not None and row.origin != "folder" else None

        self._change(name, gone, told="plugin_removed")

    def _change(self, name: str, change: Change, *, told: str, **facts: str) -> None:
        now_s = self._clock.now_s()
        changed = False

        def noted(row: PluginRow | None) -> PluginRow | None:
            nonlocal changed
            after = change(row)
            changed = after != row
            return replace(after, changed_by=_BY, changed_at=now_s) if after and changed else after

        _, revision = self._registry.change(self._tenant, name, noted)
        if changed:
            _log.info(told, plugin=name, revision=revision, **facts)
            self._tell(name, revision)

    def _tell(self, name: str, revision: int) -> None:
        event = ConfigUpdated(
            event_id=self._ids.new_id(),
            tenant=self._tenant,
            kind=PLUGIN,
            name=name,
            revision=revision,
            at=iso_time(self._clock.now_s()),
        )
        try:
            self._bus.publish(Message(CONFIG_UPDATED, name, orjson.dumps(asdict(event))))
        except Unavailable as error:
            # Each pod looks by itself, too.
            _log.warning("event_not_sent", plugin=name, error=str(error))

    def _tidy(self) -> None:
        """Remove bundles that nothing names, once they were seen so for the grace period."""
        rows = self._registry.read(self._tenant).rows.values()
        named = {release.bundle for row in rows for release in row.releases()}
        now_s = self._clock.monotonic_s()
        unnamed: dict[str, float] = {}
        for name in self._store.list(bundles_prefix(self._tenant)):
            digest = bundle_digest(name)
            if digest is None or digest in named:
                continue
            since_s = self._unnamed_since_s.get(name, now_s)
            if now_s - since_s < limits.ARTIFACT_GRACE_S:
                unnamed[name] = since_s
                continue
            self._store.delete(name)
            self._stored.discard(digest)
            _log.info("bundle_removed", digest=digest)
        self._unnamed_since_s = unnamed


def _content_digest(plugin: PluginFiles) -> str:
    """Return what changes when the plugin does, also where it cannot be packed."""
    digest = hashlib.sha256(plugin.problem.encode())
    for path, content in sorted(plugin.files.items()):
        digest.update(f"\n{path}\n{len(content)}\n".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def _print_of(folder: Path) -> _Print:
    """Return the state of the folder. Raises ``OSError`` where it is not there."""
    os.listdir(folder)
    rows: list[tuple[str, int, int, int]] = []
    for inner, folders, names in os.walk(folder):
        folders[:] = [it for it in folders if not it.startswith((".", "__pycache__"))]
        for name in names:
            path = Path(inner) / name
            try:
                status = path.stat()
            except OSError:
                continue  # gone meanwhile, or a link to nothing
            row = (str(path), status.st_ino, status.st_mtime_ns, status.st_size)
            rows.append(row)
        if len(rows) > _TREE_FILES_MAX:
            raise Invalid(f"{folder} has more than {_TREE_FILES_MAX} files")
    return tuple(sorted(rows))
