"""The log of turns as lines of JSON: appended, made safe, and rotated by size.

A batch is written whole or not at all as far as readers are concerned: what a crash or a full disk
left of one is cut off before the next, and the batch comes again. Ids of the newest lines are
remembered, so that what comes twice stands here once.
"""

import fcntl
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import orjson

from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.limits import TURN_SINK_IDS_MAX
from kotaemon_node.ports.turn_sinks import LogEntry

Fsync = Literal["batch", "never"]

_TAIL_BYTES: Final = 64 * 1024 * 1024
"""So much of the newest lines is read for their ids; a batch has less than a tenth of it."""


class JsonLinesSink:
    """``ports.turn_sinks.TurnSink``."""

    def __init__(
        self, path: Path, *, file_bytes_max: int, files_max: int, fsync: Fsync = "batch"
    ) -> None:
        """``path`` is written; ``path.1`` is the one before, ``files_max`` in all, at least 2.

        Raises ``OSError`` where the folder cannot be written, ``BlockingIOError`` where another
        process writes there.
        """
        self._path = path
        self._file_bytes_max = file_bytes_max
        self._files_max = files_max
        self._fsync = fsync
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not the log itself, which changes its name.
        self._lock = path.with_name(f"{path.name}.lock").open("ab")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file = path.open("ab", buffering=0)
        self._torn = False
        """Whether a batch may stand behind ``_kept_bytes`` that was not written whole."""
        self._kept_bytes = _cut_torn(path)
        self._ids: OrderedDict[str, None] = OrderedDict()
        for older in (path.with_name(f"{path.name}.1"), path):
            for event_id in _ids_in(older):
                self._remember(event_id)

    def keep(self, entries: Sequence[LogEntry]) -> int:
        """See the port."""
        new = [one for one in entries if one.event_id not in self._ids]
        self.append({one.event_id: one.fields for one in new})
        return len(new)

    def append(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Write rows that are not there yet, each under its id; ``Unavailable``."""
        rows = {name: row for name, row in rows.items() if name not in self._ids}
        if not rows:
            return
        raw = b"".join(orjson.dumps(dict(row)) + b"\n" for row in rows.values())
        try:
            if self._kept_bytes and self._kept_bytes + len(raw) > self._file_bytes_max:
                self._rotate()
            self._write(raw)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written: {error.strerror}") from error
        for name in rows:
            self._remember(name)

    def close(self) -> None:
        """See the port."""
        self._file.close()
        self._lock.close()

    def _write(self, raw: bytes) -> None:
        if self._torn:
            os.ftruncate(self._file.fileno(), self._kept_bytes)
        self._torn = True
        rest = memoryview(raw)
        while rest:
            rest = rest[self._file.write(rest) :]
        if self._fsync == "batch":
            os.fsync(self._file.fileno())
        self._torn = False
        self._kept_bytes += len(raw)

    def _rotate(self) -> None:
        """Begin a new file. Whatever fails here may be tried again: nothing moves twice."""
        if self._torn:
            os.ftruncate(self._file.fileno(), self._kept_bytes)
            self._torn = False
        fresh = self._path.with_name(f"{self._path.name}.new")
        # First, as the disk may have no room for it: then nothing has moved yet.
        file = fresh.open("ab", buffering=0)
        try:
            os.ftruncate(file.fileno(), 0)
            self._shift()
            fresh.replace(self._path)
        except OSError:
            file.close()
            fresh.unlink(missing_ok=True)
            raise
        self._file.close()
        self._file = file
        self._kept_bytes = 0
        if self._fsync == "batch":
            _fsync_folder(self._path.parent)

    def _shift(self) -> None:
        """Make room for ``path``: each file becomes the one before, up to the first free name.

        A try that failed half-way leaves a name free, and is gone on with behind it.
        """
        names = [self._path.with_name(f"{self._path.name}.{n}") for n in range(self._files_max)]
        names[0] = self._path
        free = next((n for n, name in enumerate(names) if not name.exists()), len(names) - 1)
        for n in range(free, 0, -1):
            names[n - 1].replace(names[n])

    def _remember(self, event_id: str) -> None:
        self._ids[event_id] = None
        if len(self._ids) > TURN_SINK_IDS_MAX:
            self._ids.popitem(last=False)


def _cut_torn(path: Path) -> int:
    """Cut off a last line that was not written whole; return how many bytes stay."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end:
            begin = max(0, end - 65_536)
            file.seek(begin)
            place = file.read(end - begin).rfind(b"\n")
            if place >= 0:
                end = begin + place + 1
                break
            end = begin
        if end < size:
            file.truncate(end)
    return end


def _ids_in(path: Path) -> Iterator[str]:
    if not path.exists():
        return
    with path.open("rb") as file:
        yield from _ids_of(file)


def _ids_of(file: BinaryIO) -> Iterator[str]:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    if size > _TAIL_BYTES:
        file.readline()  # of which the beginning is missing
    for line in file:
        try:
            yield str(orjson.loads(line)["event_id"])
        except (ValueError, KeyError, TypeError):
            continue  # somebody else's line


def _fsync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
