"""What lies in the knowledge folder: which files are whole, what they hold, and which are not ours.

A file counts once it has kept its size and times for ``FILE_STABLE_S``, so that a half-written one
is not read; a missing file counts as deleted only after as long, because editors save by deleting
and renaming. Until then the file is *pending*: whatever is known of it stays. One that never comes
to rest is pending for ``FILE_PENDING_MAX_S``, then it holds up nothing any more.
"""

import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Final

from coordinator.placing import place
from kotaemon_node.adapters.documents.reading import too_large, unsupported
from kotaemon_node.domain import limits
from kotaemon_node.domain.document_names import (
    bad_characters,
    bad_knowledge_base,
    knowledge_base_of,
    temporary,
)
from kotaemon_node.ports.runtime import Clock

_RESTLESS: Final = "it keeps changing; it will be read when it has come to rest"

# Device, inode, size, times of change in ns: equal means that nothing was written.
Signature = tuple[int, int, int, int, int]


class FolderMissing(Exception):
    """The knowledge folder is not there; nothing may be concluded about its files."""


class FileChanged(Exception):
    """A file is no longer what the last scan saw; the next scan will see it."""


@dataclass(frozen=True, slots=True)
class FileState:
    """A whole file. ``revision`` is the sha256 (hex) of its bytes, "" when ``problem`` is set."""

    document: str
    revision: str
    size_bytes: int
    problem: str | None = None
    """Why its bytes are not read at all."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The folder at one moment."""

    files: Mapping[str, Mapping[str, FileState]]
    """Knowledge base to document to file."""
    pending: Collection[str]
    """Documents about which nothing may be concluded yet."""
    ignored: Mapping[str, str]
    """Path to why it belongs to no knowledge base."""


@dataclass(slots=True)
class _Seen:
    signature: Signature | None
    """None: it is missing."""
    since_s: float
    restless_since_s: float
    """When it last began to change."""
    state: FileState | None = None
    """The last whole state, which may be older than ``signature``."""
    settled: bool = False
    inode: tuple[int, int] | None = None
    """Of a file that is missing: where it was kept."""


@dataclass(slots=True)
class _Walk:
    """What one pass over the folder meets."""

    found: dict[str, Signature] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


class KnowledgeFolder:
    """Looks at the folder ``root`` again and again. Used by one thread."""

    def __init__(self, root: Path, *, clock: Clock) -> None:
        self._root = root
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def scan(self) -> Scan:
        """Return what is in the folder now. Raises ``FolderMissing``."""
        walk = self._walk()
        for document, signature in walk.found.items():
            self._look_at(document, signature)
        missing = self._seen.keys() - walk.found.keys()
        if missing:
            # Under another name, and not yet at rest there: both names change in one generation.
            moving = {sign[:2] for name, sign in walk.found.items() if not self._seen[name].settled}
            unreadable = tuple(walk.unreadable)
            for document in missing:
                if not document.startswith(unreadable):
                    self._miss(document, moving)
        return self._summary(walk)

    def read(self, state: FileState) -> bytes:
        """Return the bytes of a file. Raises ``FileChanged`` when they are not ``state``'s."""
        try:
            with _opened(self._real(self._root / state.document)) as file:
                content = file.read(limits.DOCUMENT_BYTES_MAX + 1)
        except OSError as error:
            raise FileChanged(state.document) from error
        if hashlib.sha256(content).hexdigest() != state.revision:
            raise FileChanged(state.document)
        return content

    def holds(self, document: str, revision: str) -> bool:
        """Tell whether the file of ``document`` has the bytes of ``revision`` now."""
        path = self._root / document
        try:
            with _opened(self._real(path)) as file:
                seen = self._seen.get(document)
                unchanged = (
                    seen is not None
                    and seen.settled
                    and seen.signature == _signature(os.fstat(file.fileno()))
                )
                if seen is not None and seen.state is not None and unchanged:
                    return seen.state.revision == revision
                return hashlib.file_digest(file, "sha256").hexdigest() == revision
        except OSError:
            return False

    def place(self, document: str, source: Path) -> None:
        """Make a copy of ``source`` the file of ``document``. Raises ``OSError``."""
        place(self._root, document, source)

    def beside(self, name: str, *, bytes_max: int) -> bytes | None:
        """Return a file that is no document, cut behind ``bytes_max``; None where there is none.

        Raises ``OSError`` when it is there and cannot be read.
        """
        try:
            with _opened(self._real(self._root / name)) as file:
                return file.read(bytes_max + 1)
        except FileNotFoundError:
            return None

    def remove(self, document: str) -> bool:
        """Remove a document's file; False where there is none. Raises ``OSError``.

        A link is removed, and never what it leads to.
        """
        path = self._root / document
        inside = path.parent.resolve().is_relative_to(self._root.resolve())
        if not inside or any(temporary(step) or step == ".." for step in Path(document).parts):
            return False
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _look_at(self, document: str, signature: Signature) -> None:
        now_s = self._clock.monotonic_s()
        seen = self._seen.get(document)
        if seen is None or seen.signature != signature:
            self._seen[document] = self._changed(seen, signature)
        elif not seen.settled and now_s - seen.since_s >= limits.FILE_STABLE_S:
            state = self._state(document, signature)
            if state is not None:
                seen.state, seen.settled = state, True

    def _miss(self, document: str, moving: Collection[tuple[int, int]]) -> None:
        seen = self._seen[document]
        missing_s = self._clock.monotonic_s() - seen.since_s
        if seen.signature is not None:
            self._seen[document] = self._changed(seen, None)
            self._seen[document].inode = seen.signature[:2]
        elif missing_s >= limits.FILE_STABLE_S and (
            seen.inode not in moving or missing_s >= limits.FILE_PENDING_MAX_S
        ):
            del self._seen[document]

    def _changed(self, seen: _Seen | None, signature: Signature | None) -> _Seen:
        now_s = self._clock.monotonic_s()
        if seen is None:
            return _Seen(signature, now_s, now_s)
        restless_since_s = now_s if seen.settled else seen.restless_since_s
        return _Seen(signature, now_s, restless_since_s, seen.state)

    def _state(self, document: str, signature: Signature) -> FileState | None:
        """Return the file's state, or None when it changed while it was read."""
        size = signature[2]
        if size > limits.DOCUMENT_BYTES_MAX:
            refusal = unsupported(document) or too_large(size)
            return FileState(document, "", size, problem=str(refusal))
        try:
            with _opened(self._real(self._root / document)) as file:
                revision = hashlib.file_digest(file, "sha256").hexdigest()
                unchanged = _signature(os.fstat(file.fileno())) == signature
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = f"it cannot be read: {(error.strerror or str(error)).lower()}"
            return FileState(document, "", size, problem=reason)
        return FileState(document, revision, size) if unchanged else None

    def _summary(self, walk: _Walk) -> Scan:
        files: dict[str, dict[str, FileState]] = {}
        pending: list[str] = []
        overdue_s = self._clock.monotonic_s() - limits.FILE_PENDING_MAX_S
        for document, seen in self._seen.items():
            state = seen.state
            if document not in walk.found:
                pending.append(document)
                continue
            if not seen.settled:
                if seen.restless_since_s > overdue_s:
                    pending.append(document)
                    continue
                state = state or FileState(document, "", 0, problem=_RESTLESS)
            if state is not None:
                files.setdefault(knowledge_base_of(document), {})[document] = state
        return Scan(files, frozenset(pending), dict(sorted(walk.ignored.items())))

    def _walk(self) -> _Walk:
        walk = _Walk()
        if not self._root.is_dir():
            raise FolderMissing(f"the knowledge folder {self._root} is not there")
        folders = [""]
        while folders:
            prefix = folders.pop()
            try:
                entries = sorted(os.scandir(f"{self._root}/{prefix}"), key=lambda entry: entry.name)
            except OSError as error:
                if not prefix:
                    raise FolderMissing(f"{self._root} cannot be read: {error.strerror}") from error
                # What was below it is not deleted: we only can't see it.
                walk.ignored[prefix[:-1]] = f"the folder cannot be read: {error.strerror}"
                walk.unreadable.append(prefix)
                continue
            folders.extend(self._sort_out(walk, prefix, entries))
        return walk

    def _sort_out(
        self, walk: _Walk, prefix: str, entries: list["os.DirEntry[str]"]
    ) -> Iterator[str]:
        """Note each file of a folder as found or ignored; yield the folders to enter.

        Plain strings, no ``Path``: of ten thousand files each scan looks at every one.
        """
        for entry in entries:
            if temporary(entry.name):
                continue
            document = prefix + entry.name
            if problem := self._foreign(entry, document):
                walk.ignored[_shown(document)] = problem
            elif entry.is_dir(follow_symlinks=False):
                yield f"{document}/"
            else:
                try:
                    walk.found[document] = _signature(entry.stat())
                except OSError:
                    # It went away since the folder was listed, or is a link to nothing.
                    continue

    def _foreign(self, entry: "os.DirEntry[str]", document: str) -> str | None:
        """Return why an entry belongs to no knowledge base, or None when it belongs to one."""
        if problem := bad_characters(entry.name):  # those above were looked at before
            return problem
        if entry.is_symlink():
            return self._bad_link(Path(entry.path))
        if entry.is_dir(follow_symlinks=False):
            return bad_knowledge_base(document) if "/" not in document else None
        return None if entry.is_file(follow_symlinks=False) else "it is not a regular file"

    def _bad_link(self, path: Path) -> str | None:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            return "it is a link to nothing"
        if not target.is_relative_to(self._root.resolve()):
            return "it is a link that leaves the knowledge folder"
        return None if target.is_file() else "it is a link to a folder"

    def _real(self, path: Path) -> Path:
        """Return where a file lies. Checked again: a link may be changed between two looks."""
        target = path.resolve(strict=True)
        if not target.is_relative_to(self._root.resolve()):
            raise OSError(f"{path} leaves the knowledge folder")
        return target


def _signature(status: os.stat_result) -> Signature:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file and nothing else: a pipe would block, a link could lead elsewhere."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        yield file


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
