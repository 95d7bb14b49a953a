"""A tenant's audit log: into a backup, and back where none is.

Law 1: what is copied verifies by itself: signed notes are read before the newest lines, and volumes
       behind them, as the verifier reads. So no anchor tells of more than there is.
Law 2: the newest lines come back before anybody writes others: behind them the log goes on. Where
       another log was begun, they stay in the backup, and the verifier names what is missing.
Law 3: what comes back is believed no more for it: entries and notes are signed.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final

import structlog

from kotaemon_node.backup.format import Backup, FileRow, FilesSum, sum_from
from kotaemon_node.backup.listing import Before, Gathered
from kotaemon_node.backup.restoring import Restored
from kotaemon_node.backup.shelf import Shelf, checksum
from kotaemon_node.backup.writing import Onto, Tell, Writer
from kotaemon_node.domain.audit_chain import Head, read_line
from kotaemon_node.domain.audit_names import audit_prefix, kind_of_note, volume_numbers
from kotaemon_node.domain.errors import CorruptArtifact, Unavailable
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.audit import AuditStore, StoredLine

_log = structlog.get_logger(__name__)

_TRIES_MAX: Final = 5
_LINES: Final = 2_000  # of one blob of the newest lines: 1 MB
_NEWEST: Final = "newest/"


class _Moved(Exception):
    """Something was removed while it was copied: moved, or too old."""


class AuditCopying:
    """Copies the log of a tenant."""

    def __init__(self, store: AuditStore, artifacts: ArtifactStore, *, tenant: str) -> None:
        self._store = store
        self._artifacts = artifacts
        self._tenant = tenant

    def run(self, onto: Onto) -> FilesSum | None:
        """Return what was copied; None where there is no log."""
        note = onto.notes.read("audit")
        if note is not None:
            done: FilesSum = sum_from("audit", note)
            return done if done.files else None
        for attempt in range(1, _TRIES_MAX + 1):
            try:
                found = self._copied(onto)
            except _Moved as moved:
                _log.info("audit_changed_meanwhile", reason=str(moved), attempt=attempt)
                continue
            onto.notes.write("audit", asdict(found))
            return found if found.files else None
        raise Unavailable("the audit log is moved all the time while it is copied; try again")

    def _copied(self, onto: Onto) -> FilesSum:
        prefix = audit_prefix(self._tenant)
        anchors = {
            name: content
            for name in list(self._artifacts.list(prefix))
            if kind_of_note(name) == "anchor" and (content := self._artifacts.get(name)) is not None
        }
        newest = list(self._newest(onto.writer))
        others = [
            name
            for name in self._artifacts.list(prefix)
            if volume_numbers(name) or kind_of_note(name) in {"volume", "retired"}
        ]
        gathered = Gathered(onto.writer)
        before = Before(onto.shelf.files(onto.parent.audit if onto.parent else None))
        for name in sorted({*anchors, *others}):
            row = before.of(name)  # a name never changes its content
            new = row if row is not None else self._file(onto.writer, name, anchors.get(name))
            gathered.add(new, copied=row is None)
            onto.tell("audit log", 1)
        for row in newest:
            gathered.add(row, copied=True)
        gathered.close()
        return FilesSum(
            files=gathered.files,
            size_bytes=gathered.size_bytes,
            copied=gathered.copied,
            index=tuple(gathered.index),
        )

    def _file(self, writer: Writer, name: str, known: bytes | None) -> FileRow:
        content = known if known is not None else self._artifacts.get(name)
        if content is None:
            raise _Moved(name)
        return FileRow(name, writer.put(content), len(content))

    def _newest(self, writer: Writer) -> Iterator[FileRow]:
        """Store the lines of the session store, by pieces."""
        place, number = (0, 0), 0
        while rows := self._store.oldest(self._tenant, behind=place, limit=_LINES):
            place = (rows[-1].chain, rows[-1].seq)
            content = _packed(rows)
            name = f"{audit_prefix(self._tenant)}{_NEWEST}{number:06d}"
            yield FileRow(name, writer.put(content), len(content))
            number += 1


class AuditRestoring:
    """Brings it back."""

    def __init__(
        self, shelf: Shelf, store: AuditStore, artifacts: ArtifactStore, *, tell: Tell
    ) -> None:
        self._shelf = shelf
        self._store = store
        self._artifacts = artifacts
        self._tell = tell

    def run(self, backup: Backup) -> Restored:
        """Put back what is not there; what is damaged is told. To be done before all else."""
        done = Restored()
        newest: list[FileRow] = []
        for row in self._rows(backup):
            if _is_newest(row.name, backup.tenant):
                newest.append(row)
            else:
                self._file(row, done)
            self._tell("audit log", 1)
        self._lines(backup.tenant, newest, done)
        return done

    def look(self, backup: Backup) -> Restored:
        """Say what ``run`` would do, and change nothing."""
        done = Restored()
        here = set(self._artifacts.list(audit_prefix(backup.tenant)))
        log, _ = self._store.head(backup.tenant)
        for row in self._rows(backup):
            there = log is not None if _is_newest(row.name, backup.tenant) else row.name in here
            done.there += there
            done.restored += not there
        return done

    def _rows(self, backup: Backup) -> Iterator[FileRow]:
        for row in self._shelf.files(backup.audit):
            ours = volume_numbers(row.name) or kind_of_note(row.name)
            inside = row.name.startswith(audit_prefix(backup.tenant))
            if not inside or not (ours or _is_newest(row.name, backup.tenant)):
                raise CorruptArtifact(f"{row.name!r} is no part of the tenant's audit log")
            yield row

    def _file(self, row: FileRow, done: Restored) -> None:
        try:
            path = self._shelf.file(row.sha256)
        except CorruptArtifact as error:
            done.note(done.damaged, f"{row.name}: {error}")
            return
        if self._artifacts.put_file_if_absent(row.name, path):
            done.restored += 1
            return
        done.there += 1
        if checksum(self._artifacts.open_local(row.name)) != row.sha256:
            done.note(done.differs, row.name)

    def _lines(self, tenant: str, pieces: Sequence[FileRow], done: Restored) -> None:
        """Put the newest lines back, the head last of all."""
        behind: tuple[int, int] | None = None
        for number, piece in enumerate(pieces, start=1):
            try:
                rows = _unpacked(self._shelf.content(piece.sha256))
            except CorruptArtifact as error:
                done.note(done.damaged, f"{piece.name}: {error}")
                return  # what is behind a gap would be taken for the end of the log
            head = _head(rows) if number == len(pieces) else None
            if not self._store.put_back(tenant, rows, behind=behind, head=head):
                done.there += len(pieces) - number + 1
                if not self._has(tenant, rows[-1]):
                    done.note(done.differs, f"{tenant}'s audit log, which was begun anew: that")
                return
            behind = (rows[-1].chain, rows[-1].seq)
            done.restored += 1

    def _has(self, tenant: str, row: StoredLine) -> bool:
        found = self._store.oldest(tenant, behind=(row.chain, row.seq - 1), limit=1)
        return bool(found) and found[0] == row


def _is_newest(name: str, tenant: str) -> bool:
    return name.startswith(f"{audit_prefix(tenant)}{_NEWEST}")


def _head(rows: Sequence[StoredLine]) -> Head:
    last = rows[-1]
    try:
        return read_line(last.line).head
    except ValueError:
        # Nobody wrote this line; the next writer sees a torn log and begins another chain.
        return Head(last.chain, last.seq, "")


def _packed(rows: Sequence[StoredLine]) -> bytes:
    said = [[row.chain, row.seq, row.line.decode("utf-8", "surrogateescape")] for row in rows]
    return json.dumps(said).encode()


def _unpacked(content: bytes) -> Sequence[StoredLine]:
    try:
        rows = [
            StoredLine(int(chain), int(seq), str(line).encode("utf-8", "surrogateescape"))
            for chain, seq, line in json.loads(content)
        ]
    except (ValueError, TypeError) as error:
        raise CorruptArtifact(f"lines of the audit log cannot be read: {error!r}") from error
    if not rows:
        raise CorruptArtifact("a piece of the audit log has no lines")
    return rows
