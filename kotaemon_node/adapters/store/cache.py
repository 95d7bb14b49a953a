"""Copies of artifacts on this machine, shared by the processes that were given the same folder.

Law 1: a file under its name is whole. It is made under ``aside`` and renamed when it is.
Law 2: only who holds a name's lock writes what is aside for it. A lock ends with its process.
Law 3: what this process has mapped, and what anybody asked for a short while ago, is not removed.
Whatever else is removed comes back by being asked for.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from kotaemon_node.ports.artifacts import ArtifactsUnavailable
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

SPARED_S: Final = 600.0  # between open_local and the mapping lies the fetching of a whole segment
WAIT_MAX_S: Final = 60.0  # for another process whose copy does not grow
_POLL_S: Final = 0.05
_ABANDONED_S: Final = 86_400.0
_FREE_BYTES_MIN: Final = 16 * 1024 * 1024  # a disk filled to its last byte breaks the others on it


@dataclass(frozen=True, slots=True)
class _Copy:
    path: Path
    size_bytes: int
    used_s: float


class LocalCache:
    """Files below ``root``, of at most ``bytes_max`` together as far as law 3 allows.

    Raises ``OSError`` where the disk refuses. Its waiting is for tasks; the rest is quick but for
    ``make_room`` and ``has_checksum``, which belong on a native thread.
    """

    def __init__(
        self, root: Path, *, bytes_max: int, clock: Clock, spared_s: float = SPARED_S
    ) -> None:
        self._files = root / "files"
        self._aside = root / "aside"
        self._bytes_max = bytes_max
        self._clock = clock
        self._spared_s = spared_s
        for folder in (self._files, self._aside):
            folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Return where the copy of ``name`` lies, if there is one."""
        return self._files / name

    def find(self, name: str) -> Path | None:
        """Return the copy of ``name``, now the last to be removed; None where there is none."""
        path = self.path(name)
        try:
            self._note_use(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return path if path.is_file() else None

    def aside(self, name: str) -> Path:
        """Return where the holder of the lock of ``name`` puts together its copy."""
        return self._aside / _digest(name)

    def adopt(self, name: str) -> Path:
        """Make what is aside, whole and flushed, the copy of ``name``; the lock is held."""
        path = self.path(name)
        for attempt in (1, 2, 3):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.aside(name).rename(path)
                break
            except FileNotFoundError:
                # Whoever made room removed the folder, empty until now.
                if attempt == 3:
                    raise
        return path

    def remove(self, name: str) -> None:
        """Remove the copy of ``name``; who has it open keeps it."""
        self._unlink(self.path(name))

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of which there are copies, sorted."""
        found = (str(copy.path.relative_to(self._files)) for copy in self._copies(self._files))
        yield from sorted(name for name in found if name.startswith(prefix))

    @contextmanager
    def sole(self, name: str) -> Iterator[None]:
        """Hold the lock of ``name``, which is one for all processes.

        Waits while its holder makes progress; ``ArtifactsUnavailable`` when it makes none for long.
        """
        path = self._aside / f"{_digest(name)}.lock"
        grown, since_s = -1, self._clock.monotonic_s()
        while (descriptor := _locked(path)) is None:
            size = _size(self.aside(name))
            if size != grown:
                grown, since_s = size, self._clock.monotonic_s()
            elif self._clock.monotonic_s() - since_s > WAIT_MAX_S:
                raise ArtifactsUnavailable(f"another process fetches {name} and comes no further")
            self._clock.sleep(_POLL_S)
        try:
            yield
        finally:
            # Removed while it is held: who waits for it finds out that its file is no more.
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def make_room(self, wanted_bytes: int) -> None:
        """Remove what was not used for longest until ``wanted_bytes`` fit.

        Beyond the bound is warned of and allowed: what is in use has to be here. A disk that lacks
        them is ``ArtifactsUnavailable``.
        """
        self._remove_abandoned()
        in_use = self._mapped_here()
        for path in in_use:
            with suppress(OSError):
                self._note_use(path)  # other processes see no mapping of ours, only this
        copies = sorted(self._copies(self._files), key=lambda copy: copy.used_s)
        kept = sum(copy.size_bytes for copy in copies)
        recently_s = self._now_ns() / 1e9 - self._spared_s
        removable = (it for it in copies if it.path not in in_use and it.used_s <= recently_s)
        while (lacking := self._lacking(kept, wanted_bytes)) is not None:
            oldest = next(removable, None)
            if oldest is not None:
                self._unlink(oldest.path)
                kept -= oldest.size_bytes
                continue
            if lacking == "disk":
                free = shutil.disk_usage(self._files).free
                raise ArtifactsUnavailable(
                    f"no room on disk for {wanted_bytes} bytes in {self._files}: {free} are free"
                )
            _log.warning("cache_beyond_bound", kept_bytes=kept, bytes_max=self._bytes_max)
            break

    def _lacking(self, kept_bytes: int, wanted_bytes: int) -> str | None:
        if shutil.disk_usage(self._files).free < wanted_bytes + _FREE_BYTES_MIN:
            return "disk"
        return "bound" if kept_bytes + wanted_bytes > self._bytes_max else None

    def _note_use(self, path: Path) -> None:
        """Set the time of the last use, and no other: who looks whether it was changed sees no."""
        os.utime(path, ns=(self._now_ns(), path.stat().st_mtime_ns))

    def _now_ns(self) -> int:
        """Return the time as this file system counts it, which need not be our clock."""
        os.utime(self._aside)
        return self._aside.stat().st_mtime_ns

    def _copies(self, folder: Path) -> Iterator[_Copy]:
        for at, _, names in os.walk(folder):
            for name in names:
                path = Path(at, name)
                with suppress(FileNotFoundError):
                    found = path.stat()
                    used_s = max(found.st_atime, found.st_mtime)
                    yield _Copy(path, found.st_size, used_s)

    def _mapped_here(self) -> frozenset[Path]:
        try:
            table = Path("/proc/self/maps").read_text(errors="replace")
        except OSError:
            return frozenset()  # not Linux: what was asked for lately is spared all the same
        root = f"{self._files}/"
        # The path is the sixth column and may hold spaces.
        paths = (line.split(maxsplit=5)[5] for line in table.splitlines() if root in line)
        return frozenset(Path(path) for path in paths)

    def _remove_abandoned(self) -> None:
        for left in self._copies(self._aside):
            if left.used_s < self._now_ns() / 1e9 - _ABANDONED_S:
                left.path.unlink(missing_ok=True)

    def _unlink(self, path: Path) -> None:
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.unlink()
        for folder in path.parents:
            if folder == self._files:
                break
            try:
                folder.rmdir()
            except OSError:
                break  # not empty: others are in it


def has_checksum(path: Path, sha256: str) -> bool:
    """Tell whether the file has this checksum (hex); False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _locked(path: Path) -> int | None:
    """Return the open, locked file at ``path``; None where somebody else has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
