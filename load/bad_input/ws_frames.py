"""Bytes on a WebSocket that no client of ours sends: handshakes, and frames that break rules."""

import base64
import json
import random
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from load.bad_input.tally import Tally
from load.bad_input.wire import exchange
from tests.raw_websocket import BINARY, CLOSE, PING, PONG, TEXT, RawSocket, frame

DOOR: Final = "/ws/chat"
_PATIENCE_S: Final = 30.0
_PROTOCOL, _UNSUPPORTED, _NO_TEXT, _TOO_BIG = 1002, 1003, 1007, 1009
_ANY_REFUSAL: Final = frozenset({_PROTOCOL, _UNSUPPORTED, _NO_TEXT, 1008, _TOO_BIG})
_MESSAGE_BYTES: Final = 600_000  # over the bound of a message
_PING: Final = json.dumps({"type": "ping"}).encode()
_NO_UTF8: Final = (
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"a\x80",
    b"\xe2\x82",
)
_BAD_CODES: Final = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent, and the close codes that may answer it; none: the conversation goes on."""

    name: str
    sent: bytes
    codes: frozenset[int] = frozenset()


def cases() -> Iterator[Case]:
    """Yield what breaks the protocol, each with the code that RFC 6455 calls for."""
    hello = b'{"type": "ping"}'
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield _broken(f"opcode {opcode}", frame(opcode, hello))
    for rsv in range(1, 8):
        for opcode in (TEXT, BINARY, 0, CLOSE, PING, PONG):
            yield _broken(f"reserved bits {rsv} on {opcode}", frame(opcode, hello, rsv=rsv))
    for opcode in (TEXT, PING, CLOSE):
        yield _broken(f"unmasked {opcode}", bytes([0x80 | opcode, 2]) + b"\x03\xe8")
    for opcode in (CLOSE, PING, PONG):
        yield _broken(f"fragmented {opcode}", frame(opcode, hello, fin=False))
        yield _broken(f"{opcode} of 126 bytes", frame(opcode, b"a" * 126))
    yield _broken("continuation without start", frame(0, hello))
    yield _broken("text inside a message", frame(TEXT, hello, fin=False) + frame(TEXT, hello))
    yield _broken("16 bits for a short length", b"\x81\xfe\x00\x05" + bytes(9))
    yield _broken("64 bits for a short length", b"\x81\xff" + struct.pack("!Q", 5) + bytes(9))
    yield _broken("a length below zero", b"\x81\xff" + b"\xff" * 8 + bytes(9))
    for number, text in enumerate(_NO_UTF8):
        yield Case(f"no UTF-8, {number}", frame(TEXT, text), frozenset({_NO_TEXT}))
        pieces = frame(TEXT, text[:1], fin=False) + frame(0, text[1:])
        yield Case(f"no UTF-8 in two, {number}", pieces, frozenset({_NO_TEXT}))
    yield _broken("a close of one byte", frame(CLOSE, b"\x03"))
    for code in _BAD_CODES:
        yield _broken(f"close {code}", frame(CLOSE, struct.pack("!H", code)))
    yield Case("a reason without UTF-8", frame(CLOSE, b"\x03\xe8\xff"), frozenset({_NO_TEXT}))
    yield Case("binary", frame(BINARY, hello), frozenset({_UNSUPPORTED}))
    yield from _long()


def _broken(name: str, sent: bytes) -> Case:
    return Case(name, sent, frozenset({_PROTOCOL}))


def _long() -> Iterator[Case]:
    big = frozenset({_TOO_BIG})
    promised = b"\x81\xff" + struct.pack("!Q", 1 << 62) + bytes(4)
    yield Case("a long text", frame(TEXT, b"a" * _MESSAGE_BYTES), big)
    yield Case("a promise of 4 exabytes", promised + b"a" * _MESSAGE_BYTES, big)
    pieces = frame(0, b"a" * 100, fin=False) * (_MESSAGE_BYTES // 100)
    yield Case("fragments without end", frame(TEXT, b"a", fin=False) + pieces, big)
    yield Case("3,000 empty fragments", frame(TEXT, fin=False) + frame(0, fin=False) * 3_000)
    yield Case("3,000 pongs", frame(PONG, b"a") * 3_000)
    yield Case("pings inside a message", frame(TEXT, b" ", fin=False) + frame(PING, b"a") * 1_000)


def fuzzed(count: int, *, seed: int = 0) -> Iterator[Case]:
    """Yield random bytes, and good frames with a damage; the same for the same seed."""
    dice = random.Random(seed)
    good = [
        frame(TEXT, _PING),
        frame(PING, b"a"),
        frame(TEXT, b"a" * 200, fin=False) + frame(0, b"b"),
    ]
    for number in range(count):
        made = bytearray(dice.choice(good) * dice.randint(1, 3))
        if number % 2:
            made = bytearray(dice.randbytes(dice.choice((1, 2, 7, 64, 1_000, 20_000))))
        for _ in range(dice.randint(1, 6)):
            made[dice.randrange(len(made))] = dice.randrange(256)
        yield Case(f"fuzzed {number}", bytes(made), _ANY_REFUSAL)


def try_case(
    tally: Tally, port: int, case: Case, *, door: str = DOOR, kind: str = "frames"
) -> None:
    """Send it behind a handshake, then a ping; note how the connection ended."""
    client = RawSocket(port, door)
    try:
        # The same packet as a rule: what waits behind bad bytes must be read by nobody.
        client.send(case.sent + frame(PING, b"still there"))
        loose = case.codes == _ANY_REFUSAL
        if loose:
            client.sock.shutdown(socket.SHUT_WR)
        elif not case.codes:
            client.send(frame(CLOSE, struct.pack("!H", 1000)))
        codes, alive = _heard(client)
    except TimeoutError:
        tally.note(kind, case.name, "no end", f"no end within {_PATIENCE_S:.0f} s")
        return
    except OSError:
        codes, alive = [], False  # cut off: it had sent what broke off inside a frame
    finally:
        client.close()
    tally.note(kind, case.name, _end(codes), _fault(case, codes, alive=alive, loose=loose))


def _heard(client: RawSocket) -> tuple[list[int | None], bool]:
    rest = client.rest(_PATIENCE_S)
    codes = [got.code for got in rest if got.opcode == CLOSE]
    return codes, any(got.opcode == PONG and got.payload == b"still there" for got in rest)


def _end(codes: list[int | None]) -> str:
    return " ".join(str(code) for code in codes) or "cut off"


def _fault(case: Case, codes: list[int | None], *, alive: bool, loose: bool) -> str:
    if loose:
        strange = [code for code in codes if code not in _ANY_REFUSAL | {None, 1000}]
        # A close that was hit by chance comes back as it was said.
        return "" if not strange or strange[0] in range(3000, 5000) else f"closed with {strange}"
    if case.codes:
        right = len(codes) == 1 and codes[0] in case.codes and not alive
        return "" if right else f"closed with {codes}, wanted {sorted(case.codes)}"
    return "" if alive and codes == [1000] else f"it did not go on: {codes}"


def handshakes() -> Iterator[tuple[str, bytes]]:
    """Yield handshakes that are none, by what is wrong with them."""
    key = base64.b64encode(bytes(16)).decode()
    good = {
        "Host": "pod", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13",
    }  # fmt: skip
    bad: Mapping[str, Sequence[str]] = {
        "Sec-WebSocket-Key": (
            "", "abc", key[:-4], key + key, "é" * 16, "=" * 24, "a" * 7_000, "\x01",
        ),
        "Sec-WebSocket-Version": (
            "", "0", "8", "12", "14", "-13", "013", "13, 8", "13;13", "9" * 400, "x",
        ),
        "Upgrade": ("h2c", "websocket/13", "", "websocket, h2c"),
        "Connection": ("close", "keep-alive", ""),
        "Origin": ("null", "https://elsewhere.example", "javascript:alert(1)", "http://", "\x01"),
    }  # fmt: skip
    for name, values in bad.items():
        for value in values:
            yield f"{name} {value[:20]!r}", _asked(good | {name: value})
    for name in good:
        if name != "Host":
            yield f"without {name}", _asked({it: good[it] for it in good if it != name})
    for query in ("session_id=%ff", f"session_id={'a' * 500}", "ack=maybe", "session_id=../x"):
        yield f"query {query[:20]}", _asked(good, query=f"?{query}")
    for method in ("POST", "PUT", "DELETE", "CONNECT", "BREW"):
        yield method, _asked(good, method=method)


def _asked(headers: Mapping[str, str], *, method: str = "GET", query: str = "") -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    first = f"{method} {DOOR}{query} HTTP/1.1"
    return "\r\n".join([first, *lines, "", ""]).encode()


def try_handshake(tally: Tally, port: int, name: str, sent: bytes) -> None:
    """Send it: it is refused as any request is, and changes no protocol."""
    got = exchange(port, sent, patience_s=_PATIENCE_S)
    statuses = [answer.status for answer in got.answers]
    switched = b"HTTP/1.1 101" in got.raw
    fault = ""
    if switched or not got.ended or not statuses or not 400 <= statuses[0] < 500:
        fault = f"101: {switched}, ended: {got.ended}, {got.raw[:120]!r}"
    tally.note("handshakes", name, str(statuses[:1]), fault)
