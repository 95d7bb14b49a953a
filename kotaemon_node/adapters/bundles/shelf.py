"""Bundles in the artifact store, and on this machine where they are checked and unpacked."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from kotaemon_node.domain.artifact_names import bundle_name
from kotaemon_node.domain.errors import CorruptArtifact, NodeError
from kotaemon_node.domain.plugin_bundle import digest_of, message_of, opened, plugin_name_of
from kotaemon_node.domain.plugin_releases import Release
from kotaemon_node.domain.signed_manifest import UntrustedArtifact
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.plugin_registry import PluginRefused
from kotaemon_node.ports.signing import Verifier
from kotaemon_node.ports.uploads import UploadRoom

_log = structlog.get_logger(__name__)

_FOLDERS_KEPT: Final = 64  # some kilobytes each; those of releases that nobody wants go first


class BundleShelf:
    """``ports.plugin_registry.BundleStore`` of one tenant."""

    def __init__(
        self,
        store: ArtifactStore,
        room: UploadRoom,
        verifier: Verifier,
        *,
        tenant: str,
        folder: Path,
        native: Callable[..., Any],
    ) -> None:
        """``room`` takes what this process adds; ``folder`` holds what is unpacked here."""
        self._store = store
        self._room = room
        self._verifier = verifier
        self._tenant = tenant
        self._folder = folder
        self._native = native

    def check(self, name: str, release: Release) -> None:
        """See the port."""
        try:
            signature = bytes.fromhex(release.signature)
            message = message_of(name, release.bundle)
            self._verifier.check(message, key_id=release.key_id, signature=signature)
        except ValueError:
            raise PluginRefused("its signature is no hexadecimal text") from None
        except UntrustedArtifact as error:
            why = {
                "unknown_key": f"it is signed by key {release.key_id}, which is not trusted",
                "bad_signature": f"it is not what key {release.key_id} has signed",
            }
            raise PluginRefused(why.get(error.reason, str(error))) from None

    def add(self, raw: bytes) -> str:
        """See the port."""
        digest = digest_of(raw)
        # Where there is room for what is unpacked: the system's temporary folder may be memory.
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".adding-") as file:
            self._native(_written, file, raw)
            self._room.put(bundle_name(self._tenant, digest), Path(file.name))
        return digest

    def files(self, name: str, release: Release) -> Mapping[str, bytes]:
        """See the port."""
        self.check(name, release)
        artifact = bundle_name(self._tenant, release.bundle)
        try:
            files = self._opened(artifact, release.bundle)
            found = plugin_name_of(files)
        except (NodeError, OSError) as error:
            raise PluginRefused(f"its bundle cannot be used: {error}") from error
        if found != name:
            raise PluginRefused(f"its bundle is that of the plugin {found}")
        return files

    def folder_of(self, name: str, release: Release) -> Path:
        """Return a folder of this machine with the plugin in it, whole and read only.

        Raises ``PluginRefused``.
        """
        files = self.files(name, release)
        try:
            place: Path = self._native(unpack, files, self._folder, release.bundle)
        except OSError as error:
            raise PluginRefused(f"it cannot be unpacked: {error.strerror or error}") from error
        return place

    def _opened(self, artifact: str, digest: str) -> Mapping[str, bytes]:
        raw: bytes = self._native(Path.read_bytes, self._store.open_local(artifact))
        if digest_of(raw) != digest and self._store.discard_local(artifact, sha256=digest):
            raw = self._native(Path.read_bytes, self._store.open_local(artifact))
        if digest_of(raw) != digest:
            raise CorruptArtifact("it has not its checksum")
        files: Mapping[str, bytes] = self._native(opened, raw)
        return files


def _written(file: Any, raw: bytes) -> None:
    file.write(raw)
    file.flush()


def unpack(files: Mapping[str, bytes], root: Path, digest: str) -> Path:
    """Return the folder below ``root`` that holds exactly these files, read only.

    Pods of one machine share it: it appears whole, and one that is not as it was made is replaced.
    """
    place = root / digest
    if _holds(place, files):
        os.utime(place)
        return place
    root.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=root, prefix=".unpacking-"))
    try:
        _write(files, aside)
        if place.exists():
            _log.warning("plugin_folder_replaced", folder=place.name)
            _remove(place)
        try:
            aside.rename(place)
        except OSError:
            # Another process was quicker; what it made is as good where it is whole.
            if not _holds(place, files):
                raise
    finally:
        _remove(aside)
    _make_room(root, spared=place)
    return place


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o444)
    for inner, _, _ in os.walk(folder, topdown=False):
        if inner != str(folder):
            os.chmod(inner, 0o555)
    folder.chmod(0o755)  # a folder that nobody may write cannot be renamed


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Tell whether a folder has these files and no others, each as it should be."""
    found: set[str] = set()
    for inner, folders, names in os.walk(folder):
        links = [it for it in (*folders, *names) if (Path(inner) / it).is_symlink()]
        if links:
            return False
        found |= {(Path(inner) / it).relative_to(folder).as_posix() for it in names}
    if found != files.keys():
        return False
    try:
        return all((folder / path).read_bytes() == content for path, content in files.items())
    except OSError:
        return False


def _make_room(root: Path, *, spared: Path) -> None:
    """Remove the folders used longest ago; a plugin that runs from one has it in memory."""
    places = [it for it in root.iterdir() if not it.name.startswith(".") and it != spared]
    if len(places) < _FOLDERS_KEPT:
        return

    def used_s(place: Path) -> float:
        try:
            return place.stat().st_mtime
        except OSError:
            return 0.0

    for place in sorted(places, key=used_s)[: len(places) - _FOLDERS_KEPT + 1]:
        _remove(place)


def _remove(folder: Path) -> None:
    for inner, _, _ in os.walk(folder):
        try:
            os.chmod(inner, 0o755)
        except OSError:
            continue  # another process removes it as well
    shutil.rmtree(folder, ignore_errors=True)
