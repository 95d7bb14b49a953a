"""The destination of backups as one who reads it sees it: backups, their indexes, their blobs."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from kotaemon_node.backup.format import (
    BACKUPS,
    Backup,
    BackupRefused,
    FileRow,
    FilesSum,
    Part,
    SessionRow,
    SessionsSum,
    blob_name,
    file_rows,
    manifest_name,
    session_rows,
    sha256_of,
)
from kotaemon_node.domain.errors import CorruptArtifact, Unavailable
from kotaemon_node.ports.artifacts import ArtifactStore

_MEMORY_BYTES: Final = 1024 * 1024


class Shelf:
    """Reads the destination ``store``; whatever is read has been checked."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    @property
    def store(self) -> ArtifactStore:
        """The destination itself."""
        return self._store

    def ids(self) -> list[str]:
        """Return the ids of the backups that are whole, oldest first."""
        names = self._store.list(BACKUPS)
        return sorted(it.removeprefix(BACKUPS)[:-5] for it in names if it.endswith(".json"))

    def backups(self) -> Iterator[Backup]:
        """Yield the backups that can be read, oldest first."""
        for backup in self.ids():
            try:
                yield self.backup(backup)
            except (CorruptArtifact, Unavailable):
                continue

    def backup(self, backup: str) -> Backup:
        """Return a backup; ``BackupRefused``: there is none, ``CorruptArtifact``: damaged."""
        raw = self._store.get(manifest_name(backup))
        if raw is None:
            known = ", ".join(self.ids()[-5:]) or "none at all"
            raise BackupRefused(f"There is no backup {backup} here; the newest are: {known}.")
        found = Backup.from_json(raw, name=f"the manifest of {backup}")
        if found.id != backup:
            raise CorruptArtifact(f"the manifest of {backup} is that of {found.id}")
        return found

    def newest(self, what: Sequence[Part], *, cluster: str) -> Backup | None:
        """Return the newest readable backup of this cluster that has all of ``what``."""
        for backup in reversed(self.ids()):
            try:
                found = self.backup(backup)
            except (CorruptArtifact, Unavailable):
                continue
            if found.cluster == cluster and set(what) <= set(found.what):
                return found
        return None

    def content(self, sha256: str) -> bytes:
        """Return a blob; ``CorruptArtifact`` where it is missing or damaged."""
        raw = self._store.get(blob_name(sha256))
        if raw is None or sha256_of(raw) != sha256:
            raise _lacking(sha256, missing=raw is None)
        return raw

    def file(self, sha256: str) -> Path:
        """Return a local path of a blob that may be large; errors as ``content``."""
        try:
            path = self._store.open_local(blob_name(sha256))
        except CorruptArtifact:
            raise _lacking(sha256, missing=True) from None
        if checksum(path) != sha256:
            if self._store.discard_local(blob_name(sha256), sha256=sha256):
                path = self._store.open_local(blob_name(sha256))
                if checksum(path) == sha256:
                    return path
            raise _lacking(sha256, missing=False)
        return path

    def files(self, part: FilesSum | None) -> Iterator[FileRow]:
        """Yield the rows of a part of files, sorted by name; a piece of them is in memory."""
        for blob in part.index if part else ():
            yield from file_rows(self.content(blob))

    def sessions(self, part: SessionsSum | None) -> Iterator[SessionRow]:
        """Yield the rows of sessions, shard by shard."""
        for blob in part.index if part else ():
            yield from session_rows(self.content(blob))

    def blobs(self, backup: Backup) -> Iterator[str]:
        """Yield the checksums of all that a backup consists of; many of them more than once."""
        for part in (backup.artifacts, backup.documents, backup.audit):
            yield from part.index if part else ()
            yield from (row.sha256 for row in self.files(part))
        yield from backup.plugins
        yield from backup.sessions.index if backup.sessions else ()
        if backup.sessions and backup.sessions.access:
            yield backup.sessions.access
        yield from (row.pack for row in self.sessions(backup.sessions))


def _lacking(sha256: str, *, missing: bool) -> CorruptArtifact:
    how = "is missing" if missing else "is damaged"
    return CorruptArtifact(
        f"the blob {sha256} {how}: `kotaemon backup verify` tells what needs it, and a backup with"
        " --full writes it anew if the cluster still has it"
    )


def checksum(path: Path) -> str:
    """Return the checksum (hex) of a file, "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def copied(source: Path, target: Path) -> tuple[str, int]:
    """Copy a file that others may write to; return checksum and size of what was copied."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as file, target.open("wb") as copy:
        while block := file.read(_MEMORY_BYTES):
            digest.update(block)
            copy.write(block)
            size += len(block)
    return digest.hexdigest(), size
