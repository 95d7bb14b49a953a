"""The artifact store on a folder, which every pod of a machine (or of a shared volume) mounts.

A file is written aside, flushed to disk and then linked to its name: a name either does not exist
or holds all of its content, and a link never replaces what another writer was first to name. The
file system must know hard links, as all local ones and NFS do.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from kotaemon_node.adapters.store.names import INCOMING, check_name
from kotaemon_node.domain.errors import CorruptArtifact

_ABANDONED_S: Final = 86_400.0
# Each is lost only to a ``delete`` that removes the folder just then, so many in a row mean harm.
_LINK_ATTEMPTS: Final = 100


class FileArtifactStore:
    """``ports.artifacts.ArtifactStore`` below the folder ``root``, made when it is missing.

    ``mode`` is that of its files: pods that read them may run as another user.
    """

    def __init__(self, root: Path, *, mode: int = 0o644) -> None:
        self._root = root
        self._mode = mode
        # A writer that is killed leaves its file here, where no reader looks; the next one tidies.
        self._incoming = root / INCOMING
        self._incoming.mkdir(parents=True, exist_ok=True)

    def put_if_absent(self, name: str, content: bytes) -> bool:
        target = self._path(name)
        if target.exists():
            return False
        with self._aside() as aside:
            aside.write_bytes(content)
            return _publish(aside, target)

    def put_file_if_absent(self, name: str, source: Path) -> bool:
        target = self._path(name)
        if target.exists():
            return False
        with self._aside() as aside:
            # A copy even on one disk: who has the source open could write to what we publish.
            shutil.copyfile(source, aside)
            return _publish(aside, target)

    def get(self, name: str) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def open_local(self, name: str) -> Path:
        path = self._path(name)
        if not path.is_file():
            raise CorruptArtifact(f"the artifact store has no {name}")
        return path

    def discard_local(self, name: str, *, sha256: str) -> bool:
        return False  # the file is the store's own

    def list(self, prefix: str) -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        if folder:
            check_name(folder)
        for name in _names(self._root / folder, folder + "/" if folder else ""):
            if name.startswith(prefix):
                yield name

    def delete(self, name: str) -> None:
        path = self._path(name)
        if not path.is_file():
            return
        path.unlink(missing_ok=True)
        _remove_empty(path.parent, self._root)

    def _path(self, name: str) -> Path:
        check_name(name)
        return self._root / name

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """Lend an empty file that no reader sees; it is gone afterwards."""
        descriptor, name = tempfile.mkstemp(dir=self._incoming)
        # By its own time: a file system on the network need not have our clock.
        _remove_abandoned(self._incoming, before_s=os.stat(name).st_mtime - _ABANDONED_S)
        try:
            os.fchmod(descriptor, self._mode)
            os.close(descriptor)
            yield Path(name)
        finally:
            os.unlink(name)


def _remove_abandoned(folder: Path, *, before_s: float) -> None:
    for entry in os.scandir(folder):
        with suppress(OSError):  # gone meanwhile, or another user's
            if entry.stat().st_mtime < before_s:
                Path(entry.path).unlink()


def _publish(aside: Path, target: Path) -> bool:
    """Flush the file ``aside`` to disk and link it to ``target``; False when the name is taken."""
    _flush(aside, os.O_RDWR)
    for attempt in range(1, _LINK_ATTEMPTS + 1):
        try:
            changed = _make_folders(target.parent)
            os.link(aside, target)
            break
        except (FileExistsError, FileNotFoundError):
            if target.exists():
                return False
            # A folder that went while it was made: mkdir says that it exists, link that it does
            # not. It stays so where a step of the name is a file.
            if attempt == _LINK_ATTEMPTS or any(step.is_file() for step in target.parents):
                raise
    for folder in (target.parent, *changed):
        _flush(folder, os.O_RDONLY | os.O_DIRECTORY)
    return True


def _names(folder: Path, prefix: str) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    # "/" sorts behind "." and "-": the slash must be there when names are compared.
    labelled = ((entry.name + "/" if entry.is_dir() else entry.name, entry) for entry in entries)
    for label, entry in sorted(labelled, key=lambda row: row[0]):
        if prefix == "" and entry.name == INCOMING:
            continue
        if entry.is_dir():
            yield from _names(Path(entry.path), prefix + label)
        else:
            yield prefix + label


def _make_folders(folder: Path) -> list[Path]:
    """Make ``folder``; return the folders that thereby got a new entry and need a flush."""
    changed: list[Path] = []
    missing = folder
    while not missing.exists():
        missing = missing.parent
        changed.append(missing)
    folder.mkdir(parents=True, exist_ok=True)
    return changed


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root:
        try:
            folder.rmdir()
        except OSError:
            # Not empty, or a writer was quicker: it is in use and stays.
            return
        folder = folder.parent
