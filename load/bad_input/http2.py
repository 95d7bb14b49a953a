"""HTTP/2 over TLS by hand: frames that no client makes, and requests that HTTP/1.1 reads otherwise.

The balancer speaks HTTP/2 with clients and HTTP/1.1 with pods. So what is only a strange text in a
frame could become the end of a head, or another request, behind it.
"""

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE = range(6)
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
SMUGGLED: Final = "/v1/sessions/smuggled"
_HIDDEN: Final = f"GET {SMUGGLED} HTTP/1.1\r\nHost: pod\r\n\r\n"
_PIECE_BYTES: Final = 65_536
_HEAD_BYTES: Final = 9

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Frame:
    """One that came back."""

    kind: int
    flags: int
    stream: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Replied:
    """What came back for what was sent."""

    frames: Sequence[Frame]
    ended: bool
    """The other side closed before time was up."""

    def of(self, kind: int) -> list[Frame]:
        """Return the frames of this kind."""
        return [frame for frame in self.frames if frame.kind == kind]

    @property
    def answered(self) -> set[int]:
        """The streams that got a head."""
        return {frame.stream for frame in self.of(HEADERS)}

    def settled(self, stream: int) -> bool:
        """Tell whether the stream was answered, or ended, perhaps with all others."""
        ended = {frame.stream for frame in self.of(RST_STREAM)}
        return stream in self.answered | ended or bool(self.of(GOAWAY))


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """Return a frame, whatever it says."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def packed(pairs: Pairs) -> bytes:
    """Return a header block: every field as a literal that nobody keeps (RFC 7541, 6.2.2)."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in pairs)


def _text(text: str) -> bytes:
    raw = text.encode("latin-1")
    return _number(len(raw), bits=7) + raw


def _number(value: int, *, bits: int) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    made, value = bytearray([most]), value - most
    while value >= 128:
        made.append(value % 128 + 128)
        value //= 128
    return bytes([*made, value])


def request(
    path: str = "/v1/me", *, method: str = "GET", more: Pairs = (), changed: Mapping[str, str] = {}
) -> Pairs:
    """Return the fields of a request; ``changed`` by their names."""
    fields = {":method": method, ":scheme": "https", ":authority": "localhost", ":path": path}
    return [*{**fields, **changed}.items(), *more]


def asked(pairs: Pairs, *, stream: int = 1, body: bytes | None = None) -> bytes:
    """Return the frames of a whole request."""
    flags = END_HEADERS | (END_STREAM if body is None else 0)
    sent = frame(HEADERS, packed(pairs), flags=flags, stream=stream)
    return sent + (b"" if body is None else frame(DATA, body, flags=END_STREAM, stream=stream))


class Line:
    """A connection to the balancer that speaks HTTP/2; a context manager."""

    def __init__(self, port: int, trusted: ssl.SSLContext, *, patience_s: float = 5.0) -> None:
        trusted.set_alpn_protocols(["h2"])
        self._plain = socket.create_connection(("127.0.0.1", port), timeout=patience_s)
        self._line = trusted.wrap_socket(self._plain, server_hostname="localhost")
        self.chosen = self._line.selected_alpn_protocol()
        self._patience_s = patience_s
        self._raw = b""

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def greet(self) -> None:
        """Begin as a client does."""
        self.send(PREFACE + frame(SETTINGS))

    def send(self, raw: bytes) -> bool:
        """Send; False where the other side takes nothing any more."""
        try:
            self._line.sendall(raw)
        except OSError:
            return False
        return True

    def read(self, *, until: int | None = None) -> Replied:
        """Return what comes until the other side is done, or this stream is settled."""
        ended, deadline = False, time.monotonic() + self._patience_s
        while time.monotonic() < deadline:
            if until is not None and Replied(list(self._frames()), ended).settled(until):
                break
            try:
                piece = self._line.recv(_PIECE_BYTES)
            except TimeoutError:
                break
            except OSError:
                ended = True
                break
            if not piece:
                ended = True
                break
            self._raw += piece
        return Replied(list(self._frames()), ended)

    def _frames(self) -> Iterator[Frame]:
        at = 0
        while at + _HEAD_BYTES <= len(self._raw):
            size = int.from_bytes(self._raw[at : at + 3], "big")
            kind, flags, stream = struct.unpack(">BBI", self._raw[at + 3 : at + _HEAD_BYTES])
            if at + _HEAD_BYTES + size > len(self._raw):
                return
            at += _HEAD_BYTES
            yield Frame(kind, flags, stream & 0x7FFF_FFFF, self._raw[at : at + size])
            at += size


BROKEN: Final[Mapping[str, bytes]] = {
    "a frame over its bound": frame(DATA, bytes(16_385), stream=1),
    "a frame of 16 MB that never comes": b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "a head on stream 0": frame(HEADERS, packed(request()), flags=END_HEADERS | END_STREAM),
    "a head on an even stream": asked(request(), stream=2),
    "a stream that goes back": asked(request(), stream=5) + asked(request(), stream=3),
    "data of a stream that is not open": frame(DATA, b"x", stream=7),
    "a window of 0 more": frame(WINDOW_UPDATE, bytes(4)),
    "a window that overflows": frame(WINDOW_UPDATE, b"\x7f\xff\xff\xff") * 2,
    "settings that are cut": frame(SETTINGS, b"\x00\x01\x00"),
    "settings of a stream": frame(SETTINGS, stream=1),
    "a window setting that is too large": frame(SETTINGS, b"\x00\x04\xff\xff\xff\xff"),
    "a frame size that is too small": frame(SETTINGS, b"\x00\x05\x00\x00\x00\x01"),
    "a promise of a client": frame(PUSH_PROMISE, bytes(4), flags=END_HEADERS, stream=1),
    "a continuation of nothing": frame(CONTINUATION, flags=END_HEADERS, stream=1),
    "a head that another stream breaks off": (
        frame(HEADERS, packed(request()), stream=1) + frame(DATA, b"x", stream=3)
    ),
    "a ping of 7 bytes": frame(PING, bytes(7)),
    "a reset of a stream that is not open": frame(RST_STREAM, bytes(4), stream=9),
    "padding over the frame": frame(DATA, b"\xff", flags=0x8, stream=1),
    "a header block that is none": (
        frame(HEADERS, b"\xff" * 64, flags=END_HEADERS | END_STREAM, stream=1)
    ),
    "a header that the table does not have": (
        frame(HEADERS, b"\xfe", flags=END_HEADERS | END_STREAM, stream=1)
    ),
    "a table of 1 GB": frame(
        HEADERS, b"\x3f" + b"\xff" * 4 + b"\x03", flags=END_HEADERS | END_STREAM, stream=1
    ),
}
"""What breaks the rules of frames; the connection or the stream must end by it."""


def strange() -> Mapping[str, bytes]:
    """Return requests that HTTP/2 forbids, or that HTTP/1.1 might read as two."""
    hidden = _HIDDEN
    body = f"0\r\n\r\n{hidden}".encode()
    return {
        "an end of line in a value": asked(request(more=[("x", f"y\r\n\r\n{hidden}")])),
        "a line feed in a value": asked(request(more=[("x", f"y\n\n{hidden}")])),
        "a NUL in a value": asked(request(more=[("x", "y\0z")])),
        "an end of line in a name": asked(request(more=[(f"x: y\r\n\r\n{hidden}", "z")])),
        "a colon in a name": asked(request(more=[("transfer-encoding: chunked\r\nx", "y")])),
        "a blank in a name": asked(request(more=[("transfer-encoding ", "chunked")])),
        "capitals in a name": asked(request(more=[("X-Name", "y")])),
        "an empty name": asked(request(more=[("", "y")])),
        "an end of line in the path": asked(request(f"/v1/me HTTP/1.1\r\n\r\n{hidden}")),
        "a blank in the path": asked(request("/v1/me HTTP/1.1 /x")),
        "an empty path": asked(request("")),
        "a request as the method": asked(request(method=f"GET /v1/me HTTP/1.1\r\n\r\n{hidden}")),
        "an end of line in the host": asked(
            request(changed={":authority": f"localhost\r\n\r\n{hidden}"})
        ),
        "an end of line in the scheme": asked(request(changed={":scheme": f"http\r\n{hidden}"})),
        "two paths": asked([*request(), (":path", SMUGGLED)]),
        "no path": asked([it for it in request() if it[0] != ":path"]),
        "no method": asked([it for it in request() if it[0] != ":method"]),
        "a pseudo-header behind others": asked([("x", "y"), *request()]),
        "an unknown pseudo-header": asked([(":x", "y"), *request()]),
        "another host": asked(request(more=[("host", "elsewhere.example")])),
        "a coding": asked(
            request(method="POST", more=[("transfer-encoding", "chunked")]), body=body
        ),
        "a coding and a length": asked(
            request(
                method="POST", more=[("transfer-encoding", "chunked"), ("content-length", "0")]
            ),
            body=body,
        ),
        "a connection": asked(request(more=[("connection", "transfer-encoding")])),
        "an upgrade": asked(request(more=[("upgrade", "websocket"), ("connection", "upgrade")])),
        "a length that is too small": asked(
            request(method="POST", more=[("content-length", "0")]), body=_HIDDEN.encode()
        ),
        "a length that is too large": asked(
            request(method="POST", more=[("content-length", "9999")]), body=b"{}"
        ),
        "two lengths": asked(
            request(method="POST", more=[("content-length", "2"), ("content-length", "3")]),
            body=b"{}",
        ),
        "a length with a sign": asked(
            request(method="POST", more=[("content-length", "+2")]), body=b"{}"
        ),
        "a trailer that is a length": asked(request(method="POST"), body=b"{}").replace(
            b"\x00\x01\x00\x00\x00\x01{}", b"\x00\x00\x00\x00\x00\x01{}", 1
        )
        + frame(
            HEADERS,
            packed([("content-length", "9"), ("transfer-encoding", "chunked")]),
            flags=END_HEADERS | END_STREAM,
            stream=1,
        ),
        "a head of 300 kB": frame(HEADERS, packed(request()), stream=1)
        + frame(CONTINUATION, packed([("x", "y" * 16_000)]), stream=1) * 20
        + frame(CONTINUATION, flags=END_HEADERS, stream=1),
    }


def floods(count: int) -> Mapping[str, Iterator[bytes]]:
    """Return what is sent again and again to make others pay; ``count`` of each."""
    head = packed(request("/v1/me"))

    def opened_and_reset() -> Iterator[bytes]:
        for stream in range(1, 2 * count, 2):
            yield frame(HEADERS, head, flags=END_HEADERS | END_STREAM, stream=stream)
            yield frame(RST_STREAM, b"\x00\x00\x00\x08", stream=stream)

    def continued() -> Iterator[bytes]:
        yield frame(HEADERS, head, stream=1)
        yield from (frame(CONTINUATION, stream=1) for _ in range(count))

    def opened() -> Iterator[bytes]:
        posted = packed(request("/chat", method="POST"))
        for stream in range(1, 2 * count, 2):
            yield frame(HEADERS, posted, flags=END_HEADERS, stream=stream)

    def empty() -> Iterator[bytes]:
        posted = packed(request("/chat", method="POST"))
        yield frame(HEADERS, posted, flags=END_HEADERS, stream=1)
        yield from (frame(DATA, stream=1) for _ in range(count))

    return {
        "streams opened and reset": opened_and_reset(),
        "continuations without end": continued(),
        "streams without end": opened(),
        "data of no bytes": empty(),
        "pings": (frame(PING, bytes(8)) for _ in range(count)),
        "settings": (frame(SETTINGS) for _ in range(count)),
        "priorities": (frame(PRIORITY, bytes(5), stream=2 * at + 1) for at in range(count)),
        "frames of no kind": (frame(0xBB, bytes(64)) for _ in range(count)),
    }


def flood(line: Line, frames: Iterator[bytes], *, at_once: int = 200) -> int:
    """Send them in heaps, and return how many were taken before the other side had enough."""
    sent, heap = 0, list[bytes]()
    with contextlib.suppress(OSError):
        for one in frames:
            heap.append(one)
            if len(heap) == at_once:
                if not line.send(b"".join(heap)):
                    return sent
                sent, heap = sent + at_once, []
        if heap and line.send(b"".join(heap)):
            sent += len(heap)
    return sent
