"""Plays cases of a WebSocket test suite: frames to send, and how the other end must take them.

A case is an object with ``case``, ``description``, ``expectation``, ``close`` and ``steps``. What
the recording could not read stands as "?" or is left out; it is made from the description.
"""

import base64
import re
import struct
from dataclasses import dataclass, field
from typing import Any, Final

from tests.raw_websocket import BINARY, CLOSE, PING, PONG, TEXT, Got, RawSocket, frame

CODES: Final = {"protocol_error": 1002, "invalid_payload": 1007}
_UNITS: Final = {"k": 1024, "m": 1024**2, "": 1}
_NOT_UTF8: Final = base64.b64decode("zrrhvbnPg868zrXtoIBlZGl0ZWQ=")
"""The suite's own: good Greek letters, half a surrogate, good letters."""
_NORMAL: Final = struct.pack("!H", 1000)


@dataclass
class Play:
    """What is sent, in pieces, and what must come back but for the close."""

    sent: list[tuple[bytes, int | None]] = field(default_factory=list)
    """Bytes, and in how small pieces."""
    echoes: list[Got] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    closes: bool = False
    """Whether a close is among what is sent."""
    _open: tuple[int, bytes] | None = None

    def frame(
        self,
        opcode: int,
        payload: bytes,
        *,
        fin: bool = True,
        rsv: int = 0,
        chop: int | None = None,
    ) -> None:
        """Send a frame, and expect what a faultless other end echoes of it."""
        self.sent.append((frame(opcode, payload, fin=fin, rsv=rsv), chop))
        if self.closes:
            return
        self.closes = opcode == CLOSE
        if opcode == PING:
            self.pongs.append(payload)
        elif opcode in {TEXT, BINARY} or (opcode == 0 and self._open):
            kind, before = self._open or (opcode, b"")
            self._open = (kind, before + payload)
            if fin:
                self.echoes.append(Got(*self._open))
                self._open = None

    def message(self, opcode: int, payload: bytes, *, piece: int) -> None:
        """Send a message in fragments."""
        starts = range(0, len(payload), piece)
        for start in starts:
            last = start + piece >= len(payload)
            self.frame(opcode if start == 0 else 0, payload[start : start + piece], fin=last)


def play_of(case: dict[str, Any]) -> Play:
    """Return what the case does."""
    play = Play()
    if not case["steps"]:
        _described(case, play)
    for step in case["steps"]:
        _step(step, case, play)
    if not play.sent:  # it is sent later, and what was not read
        play.frame(TEXT, _made(case), chop=4)
    return play


def _step(step: dict[str, Any], case: dict[str, Any], play: Play) -> None:
    match step["op"]:
        case "sendFrame" if case["case"] == "2.10":
            _ten_pings(play, chop=None)
        case "sendFrame":
            payload = _payload(step, case)
            chop = step["chopsize"] if isinstance(step.get("chopsize"), int) else None
            play.frame(
                step["opcode"],
                payload,
                fin=step.get("fin", True),
                rsv=step.get("rsv", 0),
                chop=chop,
            )
        case "sendMessage":
            given = step.get("payload", (step.get("args") or [None])[0])
            binary = bool(step.get("isBinary"))
            if isinstance(given, dict):
                payload = _bytes(given) if binary else _text(_bytes(given), case)
            else:
                payload = _made(case)
            play.message(BINARY if binary else TEXT, payload, piece=step.get("fragmentSize", 1300))
        case "sendClose":
            if not play.closes and "9." not in case["case"][:2]:
                play.frame(CLOSE, _NORMAL)
        case "sendCloseFrame":
            code = step.get("args", [None])[0]
            reason = _bytes(step["reasonUtf8"]) if "reasonUtf8" in step else b""
            number = code if isinstance(code, int) else 1000
            play.frame(CLOSE, struct.pack("!H", number) + reason if "args" in step else b"")


def _described(case: dict[str, Any], play: Play) -> None:
    """Make a case of which only the description is there."""
    told = case["description"]
    if case["case"] == "2.11":
        _ten_pings(play, chop=1)
    elif case["case"] == "5.20":
        for number, (opcode, fin) in enumerate(
            [(TEXT, False), (0, False), (0, False), (0, False), (0, True)]
        ):
            play.frame(opcode, f"fragment{number}".encode(), fin=fin)
            if number in {1, 3}:
                play.frame(PING, f"pong me {number}".encode())
    else:
        opcode = BINARY if "binary message" in told else TEXT
        payload = _made(case)
        pieces = re.search(r"in fragments of (\d+)([kM]?)", told)
        chops = re.search(r"in chops of (\d+)", told)
        if pieces:
            play.message(opcode, payload, piece=int(pieces[1]) * _UNITS[pieces[2].lower()])
        else:
            play.frame(opcode, payload, chop=int(chops[1]) if chops else None)


def _ten_pings(play: Play, *, chop: int | None) -> None:
    for number in range(10):
        play.frame(PING, f"payload-{number}".encode(), chop=chop)


def _payload(step: dict[str, Any], case: dict[str, Any]) -> bytes:
    given = step.get("payload", {"b64": ""})
    payload = _bytes(given) if isinstance(given, dict) else b"a part of it"
    if step["opcode"] in {TEXT, 0}:
        payload = _text(payload, case)
    if (length := step.get("payload_len")) is not None:
        return (payload * (length // len(payload) + 1))[:length]
    return payload


def _text(payload: bytes, case: dict[str, Any]) -> bytes:
    """Return a text that is to be taken as UTF-8; the recording has some of them as Latin-1."""
    if case["close"] != "normal" or payload.isascii():
        return payload
    try:
        payload.decode()
    except UnicodeDecodeError:
        return payload.decode("latin-1").encode()
    return payload


def _bytes(given: dict[str, Any]) -> bytes:
    if "b64" in given:
        return base64.b64decode(given["b64"])
    unit = base64.b64decode(given["repeat_b64"])
    return (unit * (given["length"] // len(unit) + 1))[: given["length"]]


def _made(case: dict[str, Any]) -> bytes:
    """Return a payload of the length that the description names, or one that is not UTF-8."""
    if case["close"] == "invalid_payload":
        return _NOT_UTF8
    length = re.search(r"payload of length (\d+)(?: \* 2\*\*(\d+))?", case["description"])
    assert length is not None, case["case"]
    return b"*" * (int(length[1]) * 2 ** int(length[2] or 0))


def send_all(client: RawSocket, play: Play) -> None:
    """Send what the case sends."""
    for data, chop in play.sent:
        client.send(data, chop=chop)


def echoed(client: RawSocket, play: Play) -> tuple[list[Got], list[bytes]]:
    """Return messages and pongs until all that is expected has come, or the connection ended."""
    messages: list[Got] = []
    pongs: list[bytes] = []
    while len(messages) < len(play.echoes) or len(pongs) < len(play.pongs):
        got = client.receive()
        if got is None or got.opcode == CLOSE:
            break
        if got.opcode == PONG:
            pongs.append(got.payload)
        elif got.opcode in {TEXT, BINARY}:
            messages.append(got)
    return messages, pongs
