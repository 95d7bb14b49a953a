"""Looks after backups that exist: reads every byte again, and removes those that are too many."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from kotaemon_node.backup.format import (
    BLOBS,
    BackupRefused,
    blob_name,
    manifest_name,
)
from kotaemon_node.backup.sessions import copies, shards
from kotaemon_node.backup.shelf import Shelf
from kotaemon_node.backup.writing import Notes, Sole, Tell, unfinished
from kotaemon_node.domain.errors import CorruptArtifact, Unavailable
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.runtime import Clock

_Found = TypeVar("_Found")

_TOLD_MAX: Final = 20
_PREFIXES: Final = [f"{number:02x}" for number in range(256)]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of one backup."""

    backup: str
    blobs: int
    size_bytes: int
    sessions: int
    problems: tuple[str, ...]
    """What is wrong, at most ``_TOLD_MAX``; empty: every byte is as it was written."""


def verify(store: ArtifactStore, backup_id: str, tell: Tell) -> Verified:
    """Read everything of a backup again: each blob's checksum, each session's history."""
    shelf, problems = Shelf(store), _Problems()
    count = size = sessions = 0
    backup = problems.of(lambda: shelf.backup(backup_id))
    if backup is None:
        return Verified(backup_id, 0, 0, 0, tuple(problems.told))
    with _Distinct() as wanted:
        problems.of(lambda: wanted.take(shelf.blobs(backup)))
        for blob in wanted.each():
            count += 1
            tell("blobs", 1)
            size += problems.of(partial(_size, shelf, blob)) or 0
    for rows in problems.through(shards(shelf, backup.sessions)):
        for _ in problems.through(copies(shelf, rows)):
            sessions += 1
    return Verified(backup_id, count, size, sessions, tuple(problems.told))


def _size(shelf: Shelf, blob: str) -> int:
    return shelf.file(blob).stat().st_size


def prune(
    store: ArtifactStore, *, keep: int, holder: str, clock: Clock, lease_s: float
) -> tuple[list[str], int]:
    """Remove all but the newest ``keep`` backups; return their ids and how many blobs went.

    What a kept backup needs stays, whoever wrote it. Where one of them cannot be read nothing is
    removed, and ``CorruptArtifact`` raised: nobody knows what it needs. Unfinished ones go.
    """
    if keep < 1:
        raise BackupRefused("--keep must be at least 1: the newest backup always stays.")
    shelf = Shelf(store)
    sole = Sole(store, holder=holder, clock=clock, lease_s=lease_s)
    with sole.held():
        ids = shelf.ids()
        doomed, kept = ids[:-keep], [shelf.backup(it) for it in ids[-keep:]]
        with _Distinct() as wanted:
            for backup in kept:
                wanted.take(shelf.blobs(backup))  # raises where one is not whole: nothing was done
            sole.require()
            for backup_id in doomed:
                store.delete(manifest_name(backup_id))
            for backup_id in unfinished(store):
                Notes(store, backup_id).remove()
            return doomed, _swept(store, wanted, sole)


def _swept(store: ArtifactStore, wanted: "_Distinct", sole: Sole) -> int:
    removed = 0
    for prefix in _PREFIXES:
        needed = wanted.of(prefix)
        for name in list(store.list(f"{BLOBS}{prefix}/")):
            if name.rpartition("/")[2] not in needed:
                sole.require()  # else a backup may have been made that needs it
                store.delete(name)
                removed += 1
    return removed


class _Distinct:
    """Checksums, each once however often it came; a 256th of them is in memory at a time."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> "_Distinct":
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="kotaemon-backup-"))
        self._folder = Path(folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, checksums: Iterable[str]) -> None:
        """Note them."""
        with ExitStack() as stack:
            files = {
                it: stack.enter_context((self._folder / it).open("a", encoding="ascii"))
                for it in _PREFIXES
            }
            for sha256 in checksums:
                blob_name(sha256)  # refuses what is none
                files[sha256[:2]].write(sha256 + "\n")

    def of(self, prefix: str) -> set[str]:
        """Return those that begin with two digits."""
        path = self._folder / prefix
        return set(path.read_text("ascii").split()) if path.exists() else set()

    def each(self) -> Iterator[str]:
        """Yield each of them once, sorted."""
        for prefix in _PREFIXES:
            yield from sorted(self.of(prefix))


class _Problems:
    """Goes on after what is wrong, and remembers it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def of(self, work: Callable[[], _Found]) -> _Found | None:
        """Run ``work``; return what it does, None where something is wrong."""
        try:
            return work()
        except (CorruptArtifact, Unavailable) as error:
            self._note(error)
            return None

    def through(self, items: Iterable[_Found]) -> Iterator[_Found]:
        """Yield ``items`` until something is wrong."""
        try:
            yield from items
        except (CorruptArtifact, Unavailable) as error:
            self._note(error)

    def _note(self, error: Exception) -> None:
        if len(self.told) < _TOLD_MAX and str(error) not in self.told:
            self.told.append(str(error))
