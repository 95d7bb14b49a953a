"""gRPC calls by the byte: a caller that opens no window unasked, and reads when it is told to."""

import contextlib
import socket
import struct
import time
from typing import Final, Self

from load.bad_input.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    Frame,
    frame,
    packed,
)

GENERATE: Final = "/kotaemon.v1.Kotaemon/Generate"
GENERATE_STREAM: Final = "/kotaemon.v1.Kotaemon/GenerateStream"
_INITIAL_WINDOW: Final = 4
_WINDOW_BYTES: Final = 65_535
_PIECE_BYTES: Final = 16_000
_HEAD_BYTES: Final = 9


def head(path: str, *more: tuple[str, str]) -> bytes:
    """Return the header block of a call."""
    return packed(
        (
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "pod"),
            ("content-type", "application/grpc"), ("te", "trailers"), *more,
        )
    )  # fmt: skip


def call(message: bytes, *, stream: int = 1, path: str = GENERATE_STREAM) -> bytes:
    """Return a whole call with one message."""
    body = b"\x00" + struct.pack("!I", len(message)) + message
    pieces = [body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES)]
    return b"".join(
        (
            frame(HEADERS, head(path), flags=END_HEADERS, stream=stream),
            *(frame(DATA, piece, stream=stream) for piece in pieces[:-1]),
            frame(DATA, pieces[-1], flags=END_STREAM, stream=stream),
        )
    )


class RawCaller:
    """A connection after its preface and settings; leaves at the end of the block."""

    def __init__(self, port: int, *, window: int = _WINDOW_BYTES, begin: bytes = b"") -> None:
        """``window``: bytes that each stream may be sent; ``begin``: in place of the preface."""
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        self.ended = False
        """Whether the other side has closed, as far as was read."""
        self._arrived = b""
        first = frame(SETTINGS, struct.pack("!HI", _INITIAL_WINDOW, window))
        self.send(begin or PREFACE + first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are; a peer that has closed meanwhile is no error."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            self.socket.sendall(data)

    def frames(self, *, within_s: float) -> list[Frame]:
        """Return what comes, settings and pings being answered, until the end or the time."""
        found: list[Frame] = []
        end_s = time.monotonic() + within_s
        while (got := self._next(end_s)) is not None:
            found.append(got)
            if got.kind in {SETTINGS, PING} and not got.flags & ACK:
                self.send(frame(got.kind, got.payload if got.kind == PING else b"", flags=ACK))
        return found

    def _next(self, end_s: float) -> Frame | None:
        if (first := self._take(_HEAD_BYTES, end_s)) is None:
            return None
        payload = self._take(int.from_bytes(first[:3]), end_s)
        if payload is None:
            return None
        stream = int.from_bytes(first[5:]) & 0x7FFF_FFFF
        return Frame(first[3], first[4], stream, payload)

    def _take(self, count: int, end_s: float) -> bytes | None:
        while len(self._arrived) < count:
            if (left_s := end_s - time.monotonic()) <= 0:
                return None
            self.socket.settimeout(left_s)
            piece = b""
            try:
                piece = self.socket.recv(65_536)
            except TimeoutError:
                return None
            except ConnectionError:
                pass
            if not piece:
                self.ended, self._arrived = True, b""
                return None
            self._arrived += piece
        taken, self._arrived = self._arrived[:count], self._arrived[count:]
        return taken
