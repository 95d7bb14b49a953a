"""An HTTP/1.1 answer as it comes in pieces: its status, its body, its end. No I/O here."""

from collections.abc import Iterator
from typing import Final

_HEAD_BYTES_MAX: Final = 65_536
_CHUNK_LINE_BYTES_MAX: Final = 1_024


class Broken(Exception):
    """What came is no HTTP."""


class Response:
    """One answer. ``feed`` yields pieces of its body, without the chunks' frames."""

    __slots__ = ("_buffer", "_chunked", "_in_body", "_left", "headers", "status", "whole")

    def __init__(self) -> None:
        self.status = 0
        """0 until the head is there."""
        self.headers: dict[str, str] = {}
        self.whole = False
        self._buffer = b""
        self._in_body = self._chunked = False
        self._left = 0

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield what came of the body. Raises ``Broken``."""
        self._buffer += received
        if not self._in_body and not self._head():
            return
        yield from self._chunks() if self._chunked else self._plain()

    def _head(self) -> bool:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            if len(head) > _HEAD_BYTES_MAX:
                raise Broken("a head has no end")
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise Broken(f"no status: {first[:60]!r}")
        self.status, self._buffer, self._in_body = int(words[1]), rest, True
        self.headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        self._chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        length = self.headers.get("content-length", "0" if self.status == 204 else "")
        if not self._chunked and not length.isdigit():
            raise Broken("a body has neither length nor chunks")
        self._left = 0 if self._chunked else int(length)
        return True

    def _plain(self) -> Iterator[bytes]:
        piece, self._buffer = self._buffer[: self._left], b""
        self._left -= len(piece)
        self.whole = self._left == 0
        if piece:
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        """Between chunks ``_left`` is 0; within one it counts its line's end, too."""
        while self._buffer and not self.whole:
            if self._left == 0 and not self._begins():
                return
            if self.whole:
                return
            piece = self._buffer[: self._left]
            self._buffer = self._buffer[len(piece) :]
            # The last two bytes of a chunk are the end of its line.
            text = piece[: max(0, self._left - 2)]
            self._left -= len(piece)
            if text:
                yield text

    def _begins(self) -> bool:
        line, end, rest = self._buffer.partition(b"\r\n")
        if not end:
            if len(line) > _CHUNK_LINE_BYTES_MAX:
                raise Broken("a chunk has no size")
            return False
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError as error:
            raise Broken(f"no size of a chunk: {line[:20]!r}") from error
        self.whole = size == 0
        self._left, self._buffer = size + 2, rest
        return True
