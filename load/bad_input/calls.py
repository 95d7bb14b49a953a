"""Calls over gRPC that are none: damaged messages, floods of metadata, HTTP/2 that breaks rules."""

import contextlib
import random
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import grpc

from kotaemon_node.rpc.kotaemon_pb2 import GenerateRequest, Message
from load.bad_input.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)
from load.bad_input.rpc_wire import GENERATE, GENERATE_STREAM, RawCaller, call, head
from load.bad_input.tally import Tally

_PATIENCE_S: Final = 30.0
_AWAY_MAX_S: Final = 5.0
_FIELDS: Final = (
    "session_id", "turn_id", "kb", "user", "channel", "intent_filter", "min_generation", "on_busy",
    "epoch", "after", "on_leave", "", "__proto__",
)  # fmt: skip
_OURS: Final = frozenset({"UNKNOWN", "INTERNAL", "DATA_LOSS", "UNAVAILABLE"})
"""Ends that would say that the service failed."""
Metadata = Sequence[tuple[str, str]]


def messages(texts: Sequence[str], count: int, *, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield messages of strange texts, damaged ones and random bytes; the same for a seed."""
    dice = random.Random(seed)
    for number in range(count):
        said = {dice.choice(_FIELDS): dice.choice(texts) for _ in range(dice.randint(0, 4))}
        history = [Message(role=dice.choice(texts), content=dice.choice(texts))]
        whole = GenerateRequest(
            input=dice.choice(texts), metadata=said, history=history * dice.randint(0, 3)
        ).SerializeToString()
        yield f"texts {number}", whole
        made = bytearray(whole or b"\x0a")
        for _ in range(dice.randint(1, 8)):
            made[dice.randrange(len(made))] = dice.randrange(256)
        yield f"damaged {number}", bytes(made)
        yield f"cut {number}", whole[: dice.randrange(len(whole) + 1)]
        yield f"random {number}", dice.randbytes(dice.choice((1, 10, 300, 5_000)))
    for field in (9, 100, 536_870_911):
        yield f"field {field}", _varint(field << 3 | 2) + b"\x03abc" + b"\x0a\x05hello"
    yield "groups in groups", b"\x4b" * 10_000
    yield "a length below zero", b"\x0a" + b"\xff" * 9 + b"\x01"
    yield "over the bound", GenerateRequest(input="a" * 2_000_000).SerializeToString()


def _varint(number: int) -> bytes:
    made = bytearray()
    while number >= 128:
        made.append(number % 128 + 128)
        number //= 128
    return bytes([*made, number])


def try_message(tally: Tally, channel: Any, name: str, raw: bytes, *, stream: bool) -> None:
    """Send it; whatever ends the call says that it was the caller's fault, or answers."""
    if stream:
        call: Any = channel.unary_stream(GENERATE_STREAM)
    else:
        call = channel.unary_unary(GENERATE)
    with _ended(tally, "messages", name):
        answer = call(raw, timeout=_PATIENCE_S)
        for _ in answer if stream else ():
            """It is told to its end."""


def try_metadata(tally: Tally, channel: Any, texts: Sequence[str]) -> None:
    """Send much, long and strange metadata."""
    good = GenerateRequest(input="hello").SerializeToString()
    floods: dict[str, Metadata] = {
        "2,000 pairs": [(f"k{number}", "v") for number in range(2_000)],
        "100 kB": [("k", "v" * 100_000)],
        "a session that climbs": [("x-session-id", "../../x")],
        "a blank key": [("x-api-key", "   ")],
    }
    for number, text in enumerate(texts):
        line = "".join(it for it in text if " " <= it <= "~").strip()
        floods[f"text {number}"] = [
            (name, line) for name in ("x-session-id", "traceparent", "x-trace-id", "x-turn-default")
        ]
    for name, metadata in floods.items():
        # HAProxy ends the connection over heads that are too large, which callers hear so.
        may = frozenset({"UNAVAILABLE"} if name in {"2,000 pairs", "100 kB"} else ())
        with _ended(tally, "metadata", name, may=may):
            channel.unary_unary(GENERATE)(good, timeout=_PATIENCE_S, metadata=metadata)


def try_leaving(tally: Tally, channel: Any, count: int) -> None:
    """Leave in the middle, and have no time from the start."""
    slow = GenerateRequest(input='{"pieces": 50, "pause_ms": 20}').SerializeToString()
    for number in range(count):
        leaving = channel.unary_stream(GENERATE_STREAM)(slow)
        with _ended(tally, "left midway", str(number)):
            if number % 2:
                next(leaving)
            leaving.cancel()
        with _ended(tally, "deadlines", str(number), may=frozenset({"DEADLINE_EXCEEDED"})):
            channel.unary_unary(GENERATE)(slow, timeout=0.001 * (number % 3))


@contextlib.contextmanager
def _ended(
    tally: Tally, kind: str, name: str, *, may: frozenset[str] = frozenset()
) -> Iterator[None]:
    end, told = "OK", ""
    try:
        yield
    except grpc.RpcError as error:
        end, told = error.code().name, error.details()
    fault = f"{end} {told[:150]}" if end in _OURS - may else ""
    tally.note(kind, name, end, fault)


def garbage(count: int, *, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield what breaks HTTP/2 behind a preface, or has none."""
    begun = PREFACE + frame(SETTINGS)
    opened = begun + frame(HEADERS, head(GENERATE), flags=END_HEADERS, stream=1)
    yield "HTTP/1.1", b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n"
    yield "half a preface", PREFACE[:10]
    yield "no settings", PREFACE + frame(PING, bytes(8))
    yield "settings of 5 bytes", begun + frame(SETTINGS, bytes(5))
    yield "10,000 settings", begun + frame(SETTINGS) * 10_000
    yield "10,000 pings", begun + frame(PING, bytes(8)) * 10_000
    yield "10,000 priorities", begun + frame(PRIORITY, bytes(5), stream=1) * 10_000
    yield "data without a head", begun + frame(DATA, b"a", stream=1)
    yield "data on stream 0", begun + frame(DATA, b"a")
    yield "a head on stream 2", begun + frame(HEADERS, head(GENERATE), flags=4, stream=2)
    yield "no HPACK", begun + frame(HEADERS, b"\xff" * 50, flags=4, stream=1)
    yield "an index of nothing", begun + frame(HEADERS, b"\xff\xff\xff\x07", flags=4, stream=1)
    yield "a window of nothing", begun + frame(WINDOW_UPDATE, bytes(4))
    yield "a window without end", begun + frame(WINDOW_UPDATE, b"\x7f\xff\xff\xff") * 2
    yield "a push", begun + frame(PUSH_PROMISE, bytes(4) + head(GENERATE), flags=4, stream=1)
    yield "a method that is no text", begun + frame(HEADERS, head("/\xff"), flags=5, stream=1)
    yield "GOAWAY", begun + frame(GOAWAY, bytes(8))
    more = frame(CONTINUATION, b"\x00\x01a\x01b", stream=1) * 20_000
    yield "continuations", begun + frame(HEADERS, head(GENERATE), stream=1) + more
    resets = (
        frame(HEADERS, head(GENERATE), flags=END_HEADERS | END_STREAM, stream=number)
        + frame(RST_STREAM, struct.pack("!I", 8), stream=number)
        for number in range(1, 4_001, 2)
    )
    yield "rapid resets", begun + b"".join(resets)
    yield "a message cut", opened + frame(DATA, b"\x00\x00\x00\x00\x09a", flags=1, stream=1)
    yield "a promise of 4 GB", opened + frame(DATA, b"\x00\xff\xff\xff\xff", flags=1, stream=1)
    yield "a strange flag", opened + frame(DATA, b"\x07\x00\x00\x00\x00", flags=1, stream=1)
    dice = random.Random(seed)
    for number in range(count):
        made = bytearray(PREFACE + frame(SETTINGS) + call(b"\x0a\x05hello"))
        for _ in range(dice.randint(1, 6)):
            made[dice.randrange(24, len(made))] = dice.randrange(256)
        yield f"fuzzed {number}", bytes(made)
        yield f"random {number}", PREFACE + dice.randbytes(dice.choice((9, 100, 5_000)))


def try_garbage(tally: Tally, port: int, name: str, sent: bytes) -> None:
    """Send it and read a moment; what it did to the process is seen by the next good call."""
    with _opened(port, sent) as caller:
        caller.frames(within_s=0.05)
        tally.note("HTTP/2", name, "closed" if caller.ended else "still open")


def _opened(port: int, sent: bytes) -> RawCaller:
    """Return a caller that sent it; a server that ended unasked is followed by another."""
    end_s = time.monotonic() + _AWAY_MAX_S
    while True:
        try:
            return RawCaller(port, begin=sent)
        except ConnectionRefusedError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.01)
