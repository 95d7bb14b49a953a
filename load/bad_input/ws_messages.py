"""What is said on a WebSocket in good frames and makes no sense: public texts, and made shapes."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

from load.bad_input.tally import Tally
from tests.raw_websocket import CLOSE, TEXT, RawSocket, frame

_PATIENCE_S: Final = 60.0
_PING: Final = frame(TEXT, b'{"type": "ping"}')
_BAD_FAULTS: Final = frozenset({"internal", "unavailable"})
_TYPES: Final = (
    "message", "resume", "cancel", "ack", "ping", "start", "end", "hush", "turn", "", None, 7,
    [], {},
)  # fmt: skip
_FIELDS: Final = (
    "text", "session_id", "turn_id", "after", "seq", "context", "kb", "on_busy", "epoch",
    "min_generation", "intent_filter", "message", "__class__", "type", "",
)  # fmt: skip
_STRANGE: Final = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**400, 0.5, -0.0, 1e308,
    float("nan"), float("inf"), float("-inf"), "", "a", "a" * 128, "a" * 129, "a" * 32_000,
    "a" * 32_001, "a" * 100_000, "\ud800", "\0", "\u202e", "\ufeff", "a\nb", "../..", "%00", "t1:7",
)  # fmt: skip
_DEPTH_MAX: Final = 3
_ENDS: Final = frozenset({"done", "error", "reconnect"})


def shapes(count: int, texts: Sequence[str], *, seed: int = 0) -> Iterator[bytes]:
    """Yield messages of random fields with random values; the same for the same seed."""
    dice = random.Random(seed)
    for _ in range(count):
        made = {dice.choice(_FIELDS): _value(dice, texts) for _ in range(dice.randint(0, 6))}
        if dice.random() < 0.9:
            made["type"] = dice.choice(_TYPES)
        raw = json.dumps(made, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")
        yield raw[: dice.randrange(len(raw))] if dice.random() < 0.1 else raw


def _value(dice: random.Random, texts: Sequence[str], depth: int = 0) -> Any:
    kind = dice.random()
    if kind < 0.5:
        return dice.choice(_STRANGE)
    if kind < 0.8 or depth == _DEPTH_MAX:
        return dice.choice(texts)
    if kind < 0.85:
        return _nested(dice)
    inner = [_value(dice, texts, depth + 1) for _ in range(dice.randint(0, 5))]
    return inner if dice.random() < 0.5 else {dice.choice(texts): one for one in inner}


def _nested(dice: random.Random) -> Any:
    made: Any = 0
    for _ in range(dice.choice((5, 33, 900))):
        made = [made] if dice.random() < 0.5 else {"a": made}
    return made


class Talk:
    """Says things on one connection, which is opened again where it was closed."""

    def __init__(self, port: int, door: str = "/ws/chat") -> None:
        self._port, self._door = port, door
        self._client = RawSocket(port, door)

    def close(self) -> None:
        self._client.close()

    def say(self, tally: Tally, kind: str, name: str, raw: bytes, *, refused: bool = False) -> None:
        """Say it and wait for its end; ``refused``: nothing else may become of it."""
        no_text = not _is_text(raw)
        self._client.send(frame(TEXT, raw) + (b"" if no_text else _PING))
        try:
            told, code = self._told(closing=no_text)
        except TimeoutError:
            tally.note(kind, name, "no end", f"no end within {_PATIENCE_S:.0f} s")
            self._again()
            return
        if code is not None or no_text:
            self._again()
        errors = [one.get("code", "") for one in told if one["type"] == "error"]
        fault = "" if code == (1007 if no_text else None) else f"closed with {code}"
        if _BAD_FAULTS & {*errors}:
            fault = f"answered with {errors}"
        if refused and not errors and code is None:
            fault = f"taken: {[one['type'] for one in told]}"
        end = f"closed {code}" if code else " ".join(errors[:1]) or told[-1]["type"]
        tally.note(kind, name, end, fault)

    def _told(self, *, closing: bool) -> tuple[list[dict[str, Any]], int | None]:
        """Return frames up to the pong, and to the end of the turns that were begun."""
        told: list[dict[str, Any]] = []
        turns, ponged = 0, False
        while not ponged or turns > 0 or closing:
            got = self._client.receive(_PATIENCE_S)
            if got is None or got.opcode == CLOSE:
                return told, 1006 if got is None else got.code
            if got.opcode != TEXT:
                continue
            said = json.loads(got.payload)
            told.append(said)
            ponged = ponged or said["type"] == "pong"
            turns += said["type"] == "turn"
            # Of a turn that was begun the end has its id; what is refused may have none.
            turns -= said["type"] in _ENDS and turns > 0
        return told, None

    def _again(self) -> None:
        self._client.close()
        self._client = RawSocket(self._port, self._door)


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
