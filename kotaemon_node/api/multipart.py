"""Takes the files of a form as they arrive: to disk, piece by piece, never whole into memory.

Each goes to a file without a name, which the kernel removes with its last descriptor: whatever
happens to the request or the pod, nothing is left behind.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Protocol

import structlog
from flask import Request
from werkzeug.exceptions import ClientDisconnected, HTTPException
from werkzeug.sansio import multipart

from kotaemon_node.api.arrival import arrival
from kotaemon_node.api.errors import UnsupportedMediaType
from kotaemon_node.domain import limits
from kotaemon_node.domain.document_names import document_of
from kotaemon_node.domain.errors import (
    DeadlineExceeded,
    Invalid,
    Malformed,
    TooLarge,
    Unavailable,
)
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_CHUNK_BYTES: Final = 64 * 1024
_BUFFER_BYTES_MAX: Final = 1024 * 1024  # beyond it a part's headers are no headers
_FIELD_BYTES_MAX: Final = 4 * limits.DOCUMENT_NAME_BYTES_MAX
_PARTS_MAX: Final = 2 * limits.UPLOAD_FILES_MAX + 8  # a path before each file, and some others
_PATH: Final = "path"
_NO_FILE: Final = (
    "the form has no file; send one or several as multipart/form-data, for example"
    " `curl -F file=@handbook.md`"
)


class _File(Protocol):
    def write(self, piece: bytes, /) -> int: ...
    def fileno(self) -> int: ...
    def flush(self) -> None: ...


@dataclass(slots=True)
class Received:
    """A file that has arrived; ``path`` opens it as long as its ``Arrivals`` are open."""

    document: str
    file: _File
    size_bytes: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)

    @property
    def path(self) -> Path:
        """A name of the nameless file, in this process."""
        return Path(f"/proc/self/fd/{self.file.fileno()}")

    @property
    def revision(self) -> str:
        """sha256 (hex) of its bytes."""
        return str(self.sha256.hexdigest())

    def take(self, piece: bytes) -> None:
        """Write the next piece."""
        self.sha256.update(piece)
        self.file.write(piece)
        self.size_bytes += len(piece)


class Arrivals(ExitStack):
    """Reads one request; a context manager that gives the disk back."""

    def __init__(
        self,
        kb: str,
        *,
        folder: Path | None,
        refusal_of: Callable[[str], str | None],
        native: Callable[..., Any],
        clock: Clock,
    ) -> None:
        """``folder``: None is the system's for temporary files. ``native`` runs the writing."""
        super().__init__()
        self._kb = kb
        self._folder = folder
        self._refusal_of = refusal_of
        self._native = native
        self._clock = clock
        self._path: bytearray | None = None
        self._into: Received | bytearray | None = None
        self._files: list[Received] = []

    def read(self, request: Request) -> list[Received]:
        """Return the files of the form, all of them whole.

        ``Invalid`` for a name that may not be or that no parser reads, before its bytes are read;
        ``TooLarge``, ``Malformed``, ``UnsupportedMediaType``, ``DeadlineExceeded``.
        """
        deadline_s = self._clock.monotonic_s() + limits.UPLOAD_TIMEOUT_S
        arriving = self.enter_context(arrival(request, timeout_s=limits.UPLOAD_TIMEOUT_S))
        try:
            for event in _events(request):
                if self._clock.monotonic_s() > deadline_s:
                    raise _late()
                self._keeping(self._meet, event)
        except (Malformed, ClientDisconnected):
            if arriving.late or self._clock.monotonic_s() > deadline_s:
                raise _late() from None
            raise
        if not self._files:
            raise Invalid(_NO_FILE)
        if self._path is not None:
            raise Invalid("a `path` field names the file behind it, and there is none behind this")
        for file in self._files:
            self._keeping(self._native, file.file.flush)
        return self._files

    def _keeping(self, work: Callable[..., Any], *arguments: Any) -> None:
        try:
            work(*arguments)
        except OSError as error:
            raise Unavailable(f"this pod cannot keep the upload: {error.strerror}") from error

    def _meet(self, event: multipart.Event) -> None:
        match event:
            case multipart.File():
                self._into = self._begun(event.filename)
            case multipart.Field():
                self._into = bytearray()
                if event.name == _PATH:
                    self._path = self._into
            case multipart.Data():
                self._take(event.data)
            case _:
                pass

    def _begun(self, filename: str) -> Received | None:
        if not filename:
            return None  # what a browser sends for a field of which no file was chosen
        # Some clients send the whole path of their own disk.
        path = filename.replace("\\", "/").rpartition("/")[2]
        if self._path is not None:
            path = self._text(self._path)
            self._path = None
        document = document_of(self._kb, path)
        if reason := self._refusal_of(document):
            raise Invalid(f"{document}: {reason}")
        if len(self._files) >= limits.UPLOAD_FILES_MAX:
            raise TooLarge(f"a request has at most {limits.UPLOAD_FILES_MAX} files")
        if any(file.document == document for file in self._files):
            raise Invalid(
                f"{document} is there twice; a `path` field before each file tells them apart"
            )
        file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - the stack closes it
        self.callback(_close, file)
        self._files.append(Received(document, file))
        return self._files[-1]

    def _take(self, piece: bytes) -> None:
        into = self._into
        if isinstance(into, Received):
            if into.size_bytes + len(piece) > limits.DOCUMENT_BYTES_MAX:
                limit_mb = limits.DOCUMENT_BYTES_MAX // 1024**2
                raise TooLarge(f"{into.document} has more than {limit_mb} MB")
            if piece:
                self._native(into.take, piece)
        elif into is not None:
            into += piece
            if len(into) > _FIELD_BYTES_MAX:
                raise TooLarge(f"a field of the form has at most {_FIELD_BYTES_MAX} bytes")

    def _text(self, raw: bytearray) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise Malformed("the path is not UTF-8") from None


def _close(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # on a full disk what is left cannot be written now, either
        file.close()


def _late() -> DeadlineExceeded:
    return DeadlineExceeded(f"the upload took longer than {limits.UPLOAD_TIMEOUT_S:.0f} s")


def _events(request: Request) -> Iterator[multipart.Event]:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType(
            f"the body must be multipart/form-data, not {request.mimetype or 'of no type'}"
        )
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary or not boundary.isascii():
        raise Malformed("the form names no boundary between its parts")
    decoder = multipart.MultipartDecoder(boundary.encode(), _BUFFER_BYTES_MAX, max_parts=_PARTS_MAX)
    request.max_content_length = limits.UPLOAD_BYTES_MAX
    try:
        ended = False
        while not ended:
            piece = request.stream.read(_CHUNK_BYTES)
            decoder.receive_data(piece or None)
            while not isinstance(event := decoder.next_event(), multipart.NeedData):
                yield event
                if isinstance(event, multipart.Epilogue):
                    ended = True
                    break
    except HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - servers' and parsers' errors share no base
        _log.info("form_broken", error=repr(error))
        raise Malformed(f"the form is broken or was cut off: {type(error).__name__}") from None
