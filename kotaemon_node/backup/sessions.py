"""Copies sessions to the destination: those that changed, several to a blob, a shard at a time.

Law 1: a session is copied as it was at one moment; different sessions at different moments.
Law 2: a session whose head is that of a copy which is kept has not changed, and is not read.
Law 3: memory holds one shard's rows (a sixteenth of all) and one pack; the store is asked for
       ``BATCH`` sessions and then left in peace for a while.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import compress, islice
from pathlib import Path
from typing import Final, TypeVar

import structlog

from kotaemon_node.backup.format import (
    SHARDS,
    SessionRow,
    SessionsSum,
    packed_rows,
    session_rows,
    sum_from,
)
from kotaemon_node.backup.shelf import Shelf
from kotaemon_node.backup.writing import Onto, Writer
from kotaemon_node.domain.artifact_names import (
    SESSION_BUCKETS,
    session_bucket_prefix,
    session_copies_prefix,
)
from kotaemon_node.domain.errors import CorruptArtifact, TooLarge
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.domain.session_copy import CopyName, SessionCopy, unpacked
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.backup import Head, WholeSessions
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

BATCH: Final = 100
PACK_BYTES: Final = 4 * 1024 * 1024
PAUSE_S: Final = 0.02

_Item = TypeVar("_Item")


@dataclass(slots=True)
class _Shard:
    """What is gathered of one shard: rows that are done, and a pack that is being filled."""

    writer: Writer
    before: Mapping[str, SessionRow]
    """Rows of the backup before by the folder of the session's copies."""
    rows: dict[str, SessionRow] = field(default_factory=dict)
    open: list[tuple[SessionCopy, int, bytes, bool]] = field(default_factory=list)
    open_bytes: int = 0
    turns: int = 0
    copied: int = 0
    skipped: int = 0

    def keep(self, row: SessionRow) -> None:
        """A copy of the backup before still holds."""
        self._note(row)

    def add(self, copy: SessionCopy, *, archived: bool) -> None:
        """Put a copy into the pack."""
        content = copy.packed()
        if self.open and self.open_bytes + len(content) > PACK_BYTES:
            self.close_pack()
        self.open.append((copy, self.open_bytes, content, archived))
        self.open_bytes += len(content)
        self.copied += 1

    def close_pack(self) -> None:
        """Store the pack; its rows count from here on."""
        if not self.open:
            return
        pack = self.writer.put(b"".join(content for _, _, content, _ in self.open))
        for copy, offset, content, archived in self.open:
            name = copy.name
            self._note(
                SessionRow(
                    tenant=copy.key.tenant,
                    session_id=copy.key.session_id,
                    epoch=name.epoch,
                    version=name.version,
                    fence=int(copy.meta.get("fence", 0)),
                    active_ms=name.active_ms,
                    archived=archived,
                    pack=pack,
                    offset=offset,
                    size_bytes=len(content),
                )
            )
        self.open, self.open_bytes = [], 0

    def _note(self, row: SessionRow) -> None:
        self.rows[session_copies_prefix(row.tenant, row.session_id)] = row

    def done(self) -> SessionsSum:
        """Store the index of the shard."""
        self.close_pack()
        rows = sorted(self.rows.values(), key=lambda row: (row.pack, row.offset))
        return SessionsSum(
            sessions=len(rows),
            archived=sum(row.archived for row in rows),
            turns=sum(row.version for row in rows),
            size_bytes=sum(row.size_bytes for row in rows),
            copied=self.copied,
            skipped=self.skipped,
            index=(self.writer.put(packed_rows(rows)),),
        )


class SessionsCopying:
    """Copies all sessions of a tenant."""

    def __init__(
        self,
        sessions: WholeSessions,
        archive: ArtifactStore,
        *,
        tenant: str,
        clock: Clock,
        pause_s: float = PAUSE_S,
    ) -> None:
        """``archive`` holds those that rest; ``pause_s`` is between two batches."""
        self._sessions = sessions
        self._archive = archive
        self._tenant = tenant
        self._clock = clock
        self._pause_s = pause_s

    def run(self, onto: Onto) -> SessionsSum:
        """Return what was copied; what an interrupted run did is not done again."""
        total = SessionsSum()
        with tempfile.TemporaryDirectory(prefix="kotaemon-backup-") as folder:
            done = {shard: onto.notes.read(_part(shard)) for shard in range(SHARDS)}
            if None in done.values():
                self._spool(Path(folder))
            for shard, note in done.items():
                if note is not None:
                    found: SessionsSum = sum_from("sessions", note)
                else:
                    found = self._shard(Path(folder), shard, onto)
                    if found.copied:  # else it is done anew as quickly as it is noted
                        onto.notes.write(_part(shard), asdict(found))
                total = total + found
        access = self._sessions.access()
        return replace(total, access=onto.writer.put(access) if access else "")

    def _spool(self, folder: Path) -> None:
        """Write the ids of all sessions to a file a shard: only there is room for all of them."""
        files = [(folder / str(shard)).open("w", encoding="utf-8") for shard in range(SHARDS)]
        try:
            for count, key in enumerate(self._sessions.keys(), start=1):
                prefix = session_copies_prefix(key.tenant, key.session_id)
                files[_shard_of(prefix)].write(json.dumps(key.session_id) + "\n")
                if count % (10 * BATCH) == 0:
                    self._clock.sleep(self._pause_s)
        finally:
            for file in files:
                file.close()

    def _shard(self, folder: Path, number: int, onto: Onto) -> SessionsSum:
        before: dict[str, SessionRow] = {}
        if onto.parent is not None and onto.parent.sessions is not None:
            rows = session_rows(onto.shelf.content(onto.parent.sessions.index[number]))
            before = {session_copies_prefix(row.tenant, row.session_id): row for row in rows}
        shard = _Shard(onto.writer, before)
        with (folder / str(number)).open(encoding="utf-8") as file:
            ids = sorted({json.loads(line) for line in file})
        alive = (SessionKey(self._tenant, session_id) for session_id in ids)
        for batch in _batches(alive):
            self._alive(shard, batch)
            onto.tell("sessions", len(batch))
            self._clock.sleep(self._pause_s)
        shard.close_pack()  # so that those of the archive see what is newer
        # Afterwards: one that is archived meanwhile is found there, and so is one that came back.
        for batch_of_names in _batches(self._resting(number)):
            self._archived(shard, batch_of_names)
            onto.tell("sessions", len(batch_of_names))
        return shard.done()

    def _alive(self, shard: _Shard, keys: Sequence[SessionKey]) -> None:
        for key, head in zip(keys, self._sessions.heads(keys), strict=True):
            row = shard.before.get(session_copies_prefix(key.tenant, key.session_id))
            if head is None:
                continue  # its life ended, or it is archived by now
            if row is not None and not row.archived and _same(row, head):
                shard.keep(row)
                continue
            try:
                copy = self._sessions.copy(key)
            except (TooLarge, CorruptArtifact) as error:
                self._skipped(shard, key.session_id, error)
                continue
            if copy is not None:
                shard.add(copy, archived=False)

    def _resting(self, number: int) -> Iterator[str]:
        """Yield the newest copy of each archived session of a shard."""
        share = SESSION_BUCKETS // SHARDS
        for bucket in range(number * share, (number + 1) * share):
            newest: dict[str, str] = {}
            for name in self._archive.list(session_bucket_prefix(self._tenant, bucket)):
                if CopyName.read(name) is not None:
                    newest[name.rpartition("/")[0] + "/"] = name  # they are sorted by time
            yield from newest.values()

    def _archived(self, shard: _Shard, names: Sequence[str]) -> None:
        kept: list[SessionRow] = []
        found: list[SessionCopy] = []
        for name in names:
            prefix, of = name.rpartition("/")[0] + "/", CopyName.read(name)
            here, row = shard.rows.get(prefix), shard.before.get(prefix)
            if of is None or (here is not None and here.name >= of):
                continue  # it came back since, and was copied as it is
            if row is not None and row.archived and row.name == of:
                kept.append(row)
                continue
            try:
                content = self._archive.get(name)
                if content is not None:  # else it came back, or ended, in this moment
                    found.append(unpacked(content))
            except (CorruptArtifact, TooLarge) as error:
                self._skipped(shard, name, error)
        # What was deleted is not to be kept for longer than in the archive itself.
        keys = [SessionKey(row.tenant, row.session_id) for row in kept]
        for row in compress(kept, self._not_deleted(keys)):
            shard.keep(row)
        for copy in compress(found, self._not_deleted([copy.key for copy in found])):
            shard.add(copy, archived=True)

    def _not_deleted(self, keys: Sequence[SessionKey]) -> Iterator[bool]:
        return (not it for it in self._sessions.deleted(keys))

    def _skipped(self, shard: _Shard, what: str, error: Exception) -> None:
        shard.skipped += 1
        _log.error("session_not_backed_up", session=what, reason=str(error))


def copies(shelf: Shelf, rows: Sequence[SessionRow]) -> Iterator[tuple[SessionRow, SessionCopy]]:
    """Yield each row with its copy; those of one pack, which stand together, read it once.

    Raises ``CorruptArtifact`` where a pack is missing or damaged.
    """
    name, pack = "", b""
    for row in rows:
        if row.pack != name:
            name, pack = row.pack, shelf.content(row.pack)
        copy = unpacked(pack[row.offset : row.offset + row.size_bytes])
        if (copy.key.tenant, copy.key.session_id) != (row.tenant, row.session_id):
            raise CorruptArtifact("a session lies in its pack under the name of another one")
        yield row, copy


def shards(shelf: Shelf, part: SessionsSum | None) -> Iterator[list[SessionRow]]:
    """Yield the rows of each shard, sorted by pack."""
    for blob in part.index if part else ():
        yield list(session_rows(shelf.content(blob)))


def _part(shard: int) -> str:
    return f"sessions-{shard:02d}"


def _shard_of(prefix: str) -> int:
    return int(prefix.rstrip("/").rpartition("/")[2][0], 16)


def _same(row: SessionRow, head: Head) -> bool:
    return (row.epoch, row.version, row.fence, row.active_ms) == (
        head.epoch,
        head.version,
        head.fence,
        head.active_ms,
    )


def _batches(items: Iterator[_Item]) -> Iterator[list[_Item]]:
    while batch := list(islice(items, BATCH)):
        yield batch
