"""Sound that is none: files of other formats, lying WAV files, and noise on ``/ws/voice``."""

import json
import random
import struct
from collections.abc import Iterator
from typing import Final

import requests

from load.bad_input.tally import Tally
from tests.raw_websocket import BINARY, CLOSE, TEXT, RawSocket, frame

DOOR: Final = "/ws/voice"
_UPLOAD: Final = "/v1/audio/transcriptions"
_PATIENCE_S: Final = 120.0
_RATES: Final = (0, 1, 7_999, 8_000, 11_025, 44_100, 48_000, 48_001, 192_000, 2**32 - 1)
_FORMS: Final = ((0, 16), (2, 4), (6, 8), (7, 8), (85, 0), (0xFFFE, 16), (1, 0), (1, 1), (1, 7),
                 (1, 12), (1, 64), (1, 65_535), (3, 16), (3, 64))  # fmt: skip


def wav(
    data: bytes,
    *,
    rate: int = 16_000,
    channels: int = 1,
    kind: int = 1,
    bits: int = 16,
    claims: int | None = None,
) -> bytes:
    """Return a WAV file; ``claims``: the size that it says it has."""
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * 2 & 0xFFFF_FFFF, 2, bits)
    size = len(data) if claims is None else claims
    head = (
        b"RIFF" + struct.pack("<I", size + 36 & 0xFFFF_FFFF) + b"WAVEfmt " + struct.pack("<I", 16)
    )
    return head + form + b"data" + struct.pack("<I", size) + data


def files(count: int, *, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield files; the same for the same seed."""
    dice = random.Random(seed)
    silence, noise = bytes(16_000), dice.randbytes(16_000)
    starts = {"mp3": b"ID3\x04", "ogg": b"OggS", "flac": b"fLaC", "webm": b"\x1aE\xdf\xa3",
              "m4a": b"\0\0\0 ftypM4A ", "aiff": b"FORM\0\0\0\0AIFF", "avi": b"RIFF\0\0\0\0AVI ",
              "nothing": b"", "RF64": b"RF64\xff\xff\xff\xffWAVE"}  # fmt: skip
    for name, start in starts.items():
        yield name, start + dice.randbytes(2_000 if start else 0)
    yield from ((f"cut at {at}", wav(noise)[:at]) for at in range(0, 60, 3))
    yield from ((f"{rate} Hz", wav(silence, rate=rate)) for rate in _RATES)
    yield from ((f"{one} channels", wav(silence, channels=one)) for one in (0, 2, 3, 65_535))
    yield from ((f"form {kind}, {bits}", wav(noise, kind=kind, bits=bits)) for kind, bits in _FORMS)
    yield from ((f"claims {it}", wav(noise, claims=it)) for it in (0, 1, 2**31, 2**32 - 1))
    yield "odd bytes", wav(noise[:9_999])
    yield (
        "no numbers",
        wav(struct.pack("<4f", float("nan"), float("inf"), 1e38, -1e38), kind=3, bits=32),
    )
    yield "silence", wav(bytes(64_000))
    yield "noise", wav(noise)
    yield "too long", wav(bytes(130 * 8_000), rate=8_000, bits=8)
    yield "too large", wav(bytes(9_000_000))
    yield "100,000 chunks", b"RIFF\0\0\0\0WAVE" + b"abcd\0\0\0\0" * 100_000
    for number in range(count):
        made = bytearray(wav(noise[:800]))
        for _ in range(dice.randint(1, 6)):
            made[dice.randrange(60)] = dice.randrange(256)
        yield f"damaged {number}", bytes(made)
        yield f"random {number}", b"RIFF\0\0\0\0WAVE" + dice.randbytes(dice.choice((8, 60, 3_000)))


def try_file(tally: Tally, url: str, name: str, raw: bytes) -> None:
    """Upload it: it is heard, or refused in the form that programs of this route know."""
    sent = {"file": (f"{name}.wav", raw)}
    answer = requests.post(f"{url}{_UPLOAD}", files=sent, timeout=_PATIENCE_S)
    told = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
    refused = bool(told.get("error", {}).get("message"))
    fault = (
        "" if answer.status_code == 200 or (400 <= answer.status_code < 500 and refused) else "?"
    )
    tally.note("files", name, str(answer.status_code), fault and f"{answer.status_code} {told}")


def talks(count: int, *, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield frames to be sent on a connection by voice, each talk on its own."""
    dice = random.Random(seed)
    start = _said("start", vad=False)
    sound = frame(BINARY, dice.randbytes(3_200))
    yield "sound before start", sound
    yield "end before start", _said("end")
    yield "hush before start", _said("hush")
    yield "no sound", start + _said("end")
    yield "empty pieces", start + frame(BINARY) * 50 + _said("end")
    yield "odd pieces", start + frame(BINARY, b"abc") * 11 + _said("end")
    yield "a large piece", start + frame(BINARY, bytes(70_000)) + _said("end")
    yield "starts", start * 20
    yield "start in speech", start + sound + start + sound + _said("end")
    yield "ends", start + sound + _said("end") * 5
    yield "noise that nobody ends", _said("start", vad=True) + sound * 20
    for audio in (*_RATES, -1, 1.5, "16000", None):
        yield f"rate {audio}", _said("start", audio={"rate_hz": audio}) + sound + _said("end")
    for field in ("language", "voice", "speed", "kb", "vad", "audio", "on_busy", "session_id"):
        for value in (None, -1, "../../x", "a" * 5_000, [], {}, True, "\ud800"):
            yield f"{field} {str(value)[:9]!r}", _said("start", **{field: value})
    for number in range(count):
        yield (
            f"random {number}",
            _said("start") + frame(BINARY, dice.randbytes(dice.randint(1, 9_000))),
        )


def _said(kind: str, **fields: object) -> bytes:
    return frame(TEXT, json.dumps({"type": kind, **fields}).encode())


def try_talk(tally: Tally, port: int, name: str, sent: bytes) -> None:
    """Send it, then a ping: what cannot be heard is told, and the conversation goes on."""
    client = RawSocket(port, DOOR)
    told: list[dict[str, object]] = []
    end = "no end"
    try:
        client.send(sent + _said("ping"))
        while (got := client.receive(_PATIENCE_S)) is not None and got.opcode != CLOSE:
            told += [json.loads(got.payload)] if got.opcode == TEXT else []
            if told and told[-1]["type"] == "pong":
                end = "goes on"
                break
        else:
            end = "cut off" if got is None else f"closed {got.code}"
    except TimeoutError:
        end = "no end"
    finally:
        client.close()
    errors = [str(one["code"]) for one in told if one["type"] == "error"]
    bad = end != "goes on" or "internal" in errors
    tally.note("talks", name, " ".join(errors[:1]) or end, f"{end}, {errors}" if bad else "")
