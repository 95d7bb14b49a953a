"""Notes that a large file had its checksum, so that opening it again need not read gigabytes.

A mark names the file's device, number, size and times of change together with the checksum. Whoever
writes to the file, replaces or renames it changes one of these, for the time of change cannot be
set by programs. So a mark holds until somebody does, and for a day at most.

It does not protect from what changes bytes behind the file system: a disk that rots (the leader
reads all once an hour), or somebody with the rights of root. Nor from whoever may write as our own
user: the folder of marks belongs to that one alone, and is not used where others may write to it.
"""

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from kotaemon_node.adapters.faiss import layout
from kotaemon_node.ports.runtime import Clock

VERIFIED: Final = "verified"
"""The folder of marks beside the copies of this machine."""

# Smaller ones are read in a few milliseconds, each time.
LARGE_BYTES: Final = 8 * 1024 * 1024
# A file that changed a moment ago may change once more under the same time.
_SETTLED_S: Final = 2.0
_KEPT_S: Final = 86_400.0
_MARKS_MAX: Final = 4_096


class VerifiedMarks:
    """Marks in a folder, which the processes of one user may share. Thread safe."""

    def __init__(self, folder: Path, *, clock: Clock, large_bytes: int = LARGE_BYTES) -> None:
        """Use ``folder``, made where it is missing; where that fails nothing is ever marked."""
        self._clock = clock
        self._large_bytes = large_bytes
        self._folder = folder if _is_ours(folder) else None

    def sha256_of(self, path: Path, expected: str) -> str:
        """Return the sha256 (hex) of a file: by its mark, if that says ``expected``, or by reading.

        Raises ``OSError``.
        """
        begun_s = self._clock.now_s()
        looks = path.stat()
        if self._folder is None or looks.st_size < self._large_bytes:
            return layout.sha256_of(path)
        mark = self._folder / _name(looks, expected)
        if _is_fresh(mark, now_s=begun_s):
            return expected
        found = layout.sha256_of(path)
        if found == expected and looks.st_ctime < begun_s - _SETTLED_S:
            with suppress(OSError):  # a full disk costs time, nothing else
                mark.touch(mode=0o600)
                os.utime(mark, (begun_s, begun_s))
                self._tidy()
        return found

    def _tidy(self) -> None:
        assert self._folder is not None
        entries = sorted(os.scandir(self._folder), key=lambda entry: entry.stat().st_mtime)
        for entry in entries[: max(0, len(entries) - _MARKS_MAX)]:
            Path(entry.path).unlink(missing_ok=True)


def _is_fresh(mark: Path, *, now_s: float) -> bool:
    try:
        return 0 <= now_s - mark.stat().st_mtime < _KEPT_S
    except OSError:
        return False


def _name(looks: os.stat_result, sha256: str) -> str:
    told = (looks.st_dev, looks.st_ino, looks.st_size, looks.st_mtime_ns, looks.st_ctime_ns, sha256)
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _is_ours(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    safe = not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and safe
