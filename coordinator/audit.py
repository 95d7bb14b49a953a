"""Looks whether what was published still lies in the artifact store as it was signed.

Disks rot, and people and programs touch what they should not. Pods notice when they open a file;
the leader looks for itself, so that what is broken is made again before many pods need it.

A file that was found right is not read again while it looks untouched (its number, size and time of
change); once an hour all are. Of a store that is not a folder, the local copies are looked at.
Large files are read in pieces, between which other work is done.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.catalog import Catalog
from kotaemon_node.domain.artifact_names import segment_file_name, text_name
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import Manifest, SegmentEntry
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.runtime import Clock

_LOOK_EVERY_S: Final = 10.0
_READ_ALL_EVERY_S: Final = 3600.0
# What one call may take, beyond the piece it is at: publishing comes first.
_STEP_S: Final = 0.05
_PIECE_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a generation."""

    reason: str
    in_manifest: bool
    """Else in a file that the manifest names."""


@dataclass(slots=True)
class _Walk:
    """One look at all of a generation, resumed from call to call."""

    manifest: Manifest
    rest: Iterator[None]


class Audit:
    """Checks generations of one tenant. Used by one thread, but for ``require_segment``."""

    def __init__(
        self, *, store: ArtifactStore, catalog: Catalog, clock: Clock, tenant: str
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._tenant = tenant
        self._sound: dict[str, tuple[int, int, int]] = {}
        """File to how it looked when its checksum was right."""
        self._walks: dict[str, _Walk] = {}
        self._next_s: dict[str, float] = {}
        self._read_all_s = clock.monotonic_s() + _READ_ALL_EVERY_S

    def require_segments(self, manifest: Manifest) -> None:
        """Return when every segment that ``manifest`` names lies there whole.

        ``CorruptArtifact`` otherwise; the next ``look`` is then due at once.
        """
        try:
            for entry in manifest.segments:
                self.require_segment(manifest.kb, entry)
        except CorruptArtifact:
            self._next_s.pop(manifest.kb, None)
            raise

    def require_segment(self, kb: str, entry: SegmentEntry) -> None:
        """Return when a segment lies there whole, else raise ``CorruptArtifact``. Thread safe."""
        for _ in self._segment(kb, entry, again=False):
            pass

    def look(self, newest: Manifest) -> Damage | None:
        """Look at a part of the newest generation of a knowledge base, when it is time to.

        Return the first damage found; that it is repaired, a later look shows.
        """
        kb, now_s = newest.kb, self._clock.monotonic_s()
        walk = self._walks.get(kb)
        if walk is None or walk.manifest is not newest:
            if now_s < self._next_s.get(kb, 0.0):
                return None
            walk = self._walks[kb] = _Walk(newest, self._all_of(newest))
        until_s = now_s + _STEP_S
        try:
            for _ in walk.rest:
                if self._clock.monotonic_s() >= until_s:
                    return None
        except CorruptArtifact as error:
            self._end(kb)
            return Damage(str(error), in_manifest=False)
        except BaseException:
            del self._walks[kb]  # the store is away: what is left of this walk would say nothing
            raise
        self._end(kb)
        held = self._catalog.manifest(kb, newest.generation)
        if held is None or held.digest != newest.digest:
            return Damage(f"the manifest of generation {newest.generation} is broken", True)
        return None

    def _end(self, kb: str) -> None:
        del self._walks[kb]
        self._next_s[kb] = self._clock.monotonic_s() + _LOOK_EVERY_S

    def _all_of(self, manifest: Manifest) -> Iterator[None]:
        now_s = self._clock.monotonic_s()
        # What is published meanwhile need not be read for it: it stays noted as sound.
        again = now_s >= self._read_all_s
        if again:
            self._read_all_s = now_s + _READ_ALL_EVERY_S
        for entry in manifest.segments:
            yield from self._segment(manifest.kb, entry, again=again)
        for document in manifest.documents:
            if document.text is not None:
                name = text_name(self._tenant, manifest.kb, document.text)
                yield from self._check(name, document.text, again=again)

    def _segment(self, kb: str, entry: SegmentEntry, *, again: bool) -> Iterator[None]:
        for file, checksum in entry.files.items():
            name = segment_file_name(self._tenant, kb, entry.name, file)
            yield from self._check(name, checksum, again=again)

    def _check(self, name: str, sha256: str, *, again: bool) -> Iterator[None]:
        """Check a file in steps; with ``again`` also one that looks untouched."""
        yield
        path = self._store.open_local(name)
        try:
            looks = _looks(path)
            if self._sound.get(name) == looks and not again:
                return
            digest = hashlib.sha256()
            for piece in _pieces(path):
                digest.update(piece)
                yield
            found = digest.hexdigest()
        except OSError as error:
            raise CorruptArtifact(f"{name} cannot be read: {error.strerror}") from error
        if found != sha256:
            self._sound.pop(name, None)
            raise CorruptArtifact(f"{name} has sha256 {found}, not {sha256}")
        self._sound[name] = looks


def _looks(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
