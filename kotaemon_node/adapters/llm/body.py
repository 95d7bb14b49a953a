"""The body of a streamed response: its bytes as they arrive, or all that come within a window.

Read from the socket itself. ``http.client`` gives out one HTTP chunk a call, servers send each word
as a chunk, and a read of each costs more than all else that is done with a word.
"""

import re
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

import requests
from urllib3.exceptions import ProtocolError

_RECEIVE_BYTES: Final = 64 * 1024
_HEAD: Final = re.compile(rb"0*+([0-9A-Fa-f]{0,15})(?<=[0-9A-Fa-f])[ \t]*(?:;[^\r\n]*)?\r?\n")
_PLAIN: Final = re.compile(rb"[0-9A-Fa-f]{1,6}\r\n")
_PLAIN_HEAD_BYTES: Final = len(b"ffffff\r\n")
_HEAD_BYTES_MAX: Final = 4 * 1024
"""Of a chunk's size with its extensions, or of a line behind the last chunk."""
_LOOK_S: Final = 0.05
"""By so much an end is noticed late while a window is open."""
_READS_MAX: Final = 64
"""At one look: a server that is faster than anybody reads is not read for ever."""
_NOTHING_YET: Final = (BlockingIOError, ssl.SSLWantReadError)


class Chunks:
    """Takes HTTP's chunks off a body (RFC 9112, 7.1), cut anywhere."""

    def __init__(self) -> None:
        self.ended = False
        self._left = 0
        """Of the chunk that has begun."""
        self._behind_chunk = False
        self._trailing = False
        self._rest = b""

    def feed(self, received: bytes) -> bytes:
        """Return the content in ``received``. Raises ``ProtocolError``."""
        seen, at, found = self._rest + received, 0, list[bytes]()
        while at < len(seen) and not self.ended:
            if self._left:
                found.append(seen[at : at + self._left])
                at += len(found[-1])
                self._left -= len(found[-1])
                self._behind_chunk = not self._left
                continue
            after = self._whole(seen, at, found) or self._line(seen, at)
            if after == at:
                break
            at = after
        self._rest = seen[at:]
        return b"".join(found)

    def _whole(self, seen: bytes, at: int, found: list[bytes]) -> int:
        """Take a chunk that is there whole and has a plain head, as nearly all are; 0: it has not.

        A third of the time that its three lines would take one by one.
        """
        begin = seen.find(b"\r\n", at, at + _PLAIN_HEAD_BYTES) + 2
        if (
            self._behind_chunk
            or self._trailing
            or begin < 2
            or not _PLAIN.fullmatch(seen, at, begin)
        ):
            return 0
        end = begin + int(seen[at : begin - 2], 16)
        if end == begin or seen[end : end + 2] != b"\r\n":
            return 0
        found.append(seen[begin:end])
        return end + 2

    def _line(self, seen: bytes, at: int) -> int:
        """Read a line of the framing; return what is behind it, ``at`` where it is not whole."""
        end = seen.find(b"\n", at) + 1
        if end - at > _HEAD_BYTES_MAX or (not end and len(seen) - at > _HEAD_BYTES_MAX):
            raise ProtocolError("the size of a chunk is too long")
        if not end:
            return at
        line = seen[at:end]
        if self._behind_chunk or self._trailing:
            empty = line in (b"\r\n", b"\n")
            if self._behind_chunk and not empty:
                raise ProtocolError("a chunk is longer than it said")
            self.ended = self._trailing and empty
            self._behind_chunk = False
            return end
        head = _HEAD.fullmatch(line)
        if head is None:
            raise ProtocolError("what should be the size of a chunk is none")
        self._left = int(head[1] or b"0", 16)
        self._trailing = not self._left
        return end

    def finish(self) -> None:
        """Say that the connection has ended. Raises ``ProtocolError`` where more was to come."""
        if not self.ended:
            raise ProtocolError("the connection ended within the body")


class Plain:
    """A body without chunks: as long as its head said, or as long as the connection stands."""

    def __init__(self, length: int | None) -> None:
        self._left = length
        self.ended = length == 0

    def feed(self, received: bytes) -> bytes:
        """Return the content in ``received``."""
        if self._left is None:
            return received
        content = received[: self._left]
        self._left -= len(content)
        self.ended = not self._left
        return content

    def finish(self) -> None:
        """Say that the connection has ended. Raises ``ProtocolError`` where more was to come."""
        if self._left:
            raise ProtocolError("the connection ended within the body")
        self.ended = True


class ResponseBody:
    """Reads the body of a response that nothing was read of yet; for one task at a time.

    Its time-outs are its own: ``requests`` takes one for the whole call.
    """

    def __init__(self, response: requests.Response) -> None:
        # urllib3 gives its connection's socket away where the server ends a body by closing. So the
        # way leads through http.client: response, buffered file, raw file, socket.
        head: Any = response.raw
        http: Any = head._fp
        self._file: Any = http.fp
        self._socket: socket.socket | None = None if http.fp is None else http.fp.raw._sock
        self._framing: Chunks | Plain = Chunks() if http.chunked else Plain(http.length)
        self._file_read = False
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        self._encoded: Any = None if encoding in {"", "identity"} else head
        """What undoes a compression that nobody asked for; it reads by itself."""

    @property
    def ended(self) -> bool:
        """True when nothing follows."""
        return self._file is None or self._framing.ended

    def receive(self, timeout_s: float) -> bytes:
        """Return some bytes as soon as there are any; b"" at the end. ``TimeoutError``."""
        until_s = time.monotonic() + timeout_s
        while not self.ended:
            assert self._socket is not None
            # Framing without content, such as trailers without end, does not begin it anew.
            rest_s = until_s - time.monotonic()
            if rest_s <= 0:
                raise TimeoutError("the server sent no content in time")
            self._socket.settimeout(rest_s)
            if self._encoded is not None:
                return self._decoded()
            if content := self._take(self._read()):
                return content
        return b""

    def gather(self, until_s: float, *, last: bytes, sleep: Callable[[float], None]) -> bytes:
        """Return what comes until then (``time.monotonic``), perhaps nothing.

        Sooner where the body ends, or ``last`` was among what came. Only behind ``receive``.
        """
        found: list[bytes] = []
        if self._encoded is not None or self._socket is None:
            return b""
        self._socket.settimeout(0.0)
        while not self.ended and (rest_s := until_s - time.monotonic()) > 0:
            # Not a wait for the next byte: each word would wake this task for itself.
            sleep(min(rest_s, _LOOK_S))
            looked = len(found)
            try:
                self._look(found, last)
            except _NOTHING_YET:
                pass
            except (OSError, ProtocolError):
                if any(found):
                    break  # what came before is given; the next read fails as this one did
                raise
            if any(last in content for content in found[looked:]):
                break
        return b"".join(found)

    def _look(self, found: list[bytes], last: bytes) -> None:
        """Add to ``found`` what has come; that nothing more is there raises ``_NOTHING_YET``.

        One read is not all: TLS gives out a record a call, and servers send each word as one.
        """
        assert self._socket is not None
        for _ in range(_READS_MAX):
            found.append(self._take(self._socket.recv(_RECEIVE_BYTES)))
            if self.ended or last in found[-1]:
                return

    def hang_up(self) -> None:
        """End the connection under whoever waits for it; they find its end."""
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> bytes:
        if self._file_read:
            assert self._socket is not None
            return self._socket.recv(_RECEIVE_BYTES)
        # What came with the head lies in the buffer of the file; behind that one read it is empty.
        self._file_read = True
        received: bytes = self._file.read1(_RECEIVE_BYTES)
        return received

    def _decoded(self) -> bytes:
        content: bytes = self._encoded.read1(_RECEIVE_BYTES, decode_content=True)
        return content

    def _take(self, received: bytes) -> bytes:
        if not received:
            self._framing.finish()
        return self._framing.feed(received)
