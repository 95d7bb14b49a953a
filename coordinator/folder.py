"""What lies in the knowledge folder: which files are whole, what they hold, and which are not ours.

A file counts once it has kept its size and times for ``FILE_STABLE_S``, so that a half-written one
is not read; a missing file counts as deleted only after as long, because editors save by deleting
and renaming. Until then the file is *pending*: whatever is known of it stays. One that never comes
to rest is pending for ``FILE_PENDING_MAX_S``, then it holds up nothing any more.
"""

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from threading import Lock
from typing import Final

from coordinator.placing import place
from coordinator.walking import FolderWalk, Signature, Walk, inside, signature_of
from kotaemon_node.adapters.documents.endings import too_large, unsupported
from kotaemon_node.domain import limits
from kotaemon_node.domain.document_names import knowledge_base_of, temporary
from kotaemon_node.ports.runtime import Clock

_RESTLESS: Final = "it keeps changing; it will be read when it has come to rest"

# Going through all of the folder takes at most this share of the time where changes are told.
_WHOLE_SHARE_MAX: Final = 0.05


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


class KnowledgeFolder:
    """Looks at the folder ``root`` again and again. Used by one thread."""

    def __init__(self, root: Path, *, clock: Clock) -> None:
        self._root = root
        self._clock = clock
        self._walker = FolderWalk(root)
        self._seen: dict[str, _Seen] = {}
        self._pending: frozenset[str] = frozenset()
        self._walked: Walk | None = None
        self._whole_due_s = 0.0
        self._hinted = False
        self._hints_lock = Lock()
        self._hints: set[str] = set()

    def hint(self, paths: Iterable[str]) -> None:
        """Tell that something changed at ``paths`` below the folder. Thread safe.

        From then on ``scan`` goes through all of the folder only every few seconds.
        """
        with self._hints_lock:
            self._hints.update(paths)
            self._hinted = True

    def scan(self) -> Scan:
        """Return what is in the folder now. Raises ``FolderMissing``."""
        walk = self._looked()
        for document, signature in walk.found.items():
            seen = self._seen.get(document)
            # Of tens of thousands of files nearly all are as they were.
            if seen is None or not seen.settled or seen.signature != signature:
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
                    and seen.signature == signature_of(os.fstat(file.fileno()))
                )
                if seen is not None and seen.state is not None and unchanged:
                    return seen.state.revision == revision
                return hashlib.file_digest(file, "sha256").hexdigest() == revision
        except OSError:
            return False

    def place(self, document: str, source: Path) -> None:
        """Make a copy of ``source`` the file of ``document``. Raises ``OSError``."""
        place(self._root, document, source)
        self._note(document)

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
        if not inside(self._root, path.parent.resolve()) or any(
            temporary(step) or step == ".." for step in Path(document).parts
        ):
            return False
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        self._note(document)
        return True

    def _note(self, document: str) -> None:
        """Have the next scan look at what we changed ourselves, watched or not."""
        with self._hints_lock:
            self._hints.add(document)

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
                unchanged = signature_of(os.fstat(file.fileno())) == signature
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = f"it cannot be read: {(error.strerror or str(error)).lower()}"
            return FileState(document, "", size, problem=reason)
        return FileState(document, revision, size) if unchanged else None

    def _summary(self, walk: Walk) -> Scan:
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
        self._pending = frozenset(pending)
        return Scan(files, self._pending, dict(sorted(walk.ignored.items())))

    def _looked(self) -> Walk:
        """Return what lies where: by going through all, or only to where something changed."""
        with self._hints_lock:
            hints, self._hints = self._hints, set()
        walk, self._walked = self._walked, None
        began_s = self._clock.monotonic_s()
        again = walk is not None and self._hinted and began_s < self._whole_due_s
        if walk is None or not again or not self._walker.again(walk, {*hints, *self._pending}):
            walk = self._walker.whole()
            ended_s = self._clock.monotonic_s()
            rest_s = max(limits.FOLDER_SCAN_S, (ended_s - began_s) / _WHOLE_SHARE_MAX)
            self._whole_due_s = ended_s + rest_s
        self._walked = walk
        return walk

    def _real(self, path: Path) -> Path:
        """Return where a file lies. Checked again: a link may be changed between two looks."""
        target = path.resolve(strict=True)
        if not inside(self._root, target):
            raise OSError(f"{path} leaves the knowledge folder")
        return target


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file and nothing else: a pipe would block, a link could lead elsewhere."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        yield file
