"""Readers of event streams who claim to stand anywhere: forged places, strange numbers, storms."""

import contextlib
import json
import random
import socket
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote

import requests

from load.bad_input.streaming import StreamingSite
from load.bad_input.tally import Tally

_PATIENCE_S: Final = 60.0
_OTHERS, _MINE, _TURN = "sse-others", "sse-mine", "t1"
_NUMBERS: Final = (
    "", "0", "-1", "1.5", "1e3", "01", "+1", " 1", "9" * 16, "9" * 17, "9" * 400, "٣", "0x1", "NaN",
    "2147483648", "9223372036854775808", "null", "[]", "1;2", "1,2", "true",
)  # fmt: skip


def prepare(site: StreamingSite) -> None:
    """Have one turn answered in a session of mine, and one in another's."""
    for session in (_MINE, _OTHERS):
        answer = site.pod.ask(session, _TURN, pieces=3)
        assert answer.status_code == 200, answer.text


def places(texts: Sequence[str], count: int, *, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Yield targets and what they say in ``Last-Event-ID``; the same for the same seed."""
    turn = f"/v1/sessions/{_MINE}/turns/{_TURN}/stream"
    session = f"/v1/sessions/{_MINE}/stream"
    forged = [f"{_TURN}:{number}" for number in _NUMBERS]
    forged += [*_NUMBERS, "t2:1", f"{_OTHERS}:{_TURN}:1", "::", ":", "t1:1:1", "../t1:1", "t1:"]
    for last in forged:
        yield turn, last
        yield session, last
    for number in _NUMBERS:
        yield f"{turn}?after={quote(number)}", ""
        yield f"{session}?after_version={quote(number)}", ""
        yield f"{turn}?after={quote(number)}&after=1", "1"
    dice = random.Random(seed)
    for _ in range(count):
        text = dice.choice(texts)
        yield dice.choice((turn, session)), text
        yield f"{turn}?after={quote(text)}&{quote(text)}=1", ""
        yield f"{session}?after_version={quote(text)}", ""
        yield f"/v1/sessions/{quote(text, safe='')}/stream", ""
        yield f"/v1/sessions/{_MINE}/turns/{quote(text, safe='')}/stream", "1"


def try_place(tally: Tally, url: str, target: str, last: str) -> None:
    """Follow from there: a refusal in the form of errors, or a stream that begins."""
    headers = {"Last-Event-ID": _line(last).encode()} if last else {}
    try:
        with requests.get(
            f"{url}{target}", headers=headers, stream=True, timeout=_PATIENCE_S
        ) as answer:
            refusal = answer.content if answer.status_code != 200 else b""
    except requests.RequestException as error:
        tally.note("places", target, "broken", repr(error))
        return
    status, fault = answer.status_code, ""
    if status >= 500 or (status >= 400 and not _told(refusal)):
        fault = f"{status} {refusal[:120]!r}"
    tally.note("places", f"{target} {last[:60]!r}", str(status), fault)


def storm(tally: Tally, port: int, count: int) -> None:
    """Come and go ``count`` times without reading; then no stream may be open."""
    sent = f"GET /v1/sessions/{_MINE}/stream HTTP/1.1\r\nHost: pod\r\n\r\n".encode()
    for number in range(count):
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as client,
        ):
            client.sendall(sent)
            if number % 2:
                client.recv(64)
        tally.note("reconnects", str(number), "left")


def _told(body: bytes) -> bool:
    try:
        return {"code", "message", "trace_id"} <= json.loads(body)["error"].keys()
    except (ValueError, KeyError, AttributeError, TypeError):
        return False


def _line(text: str) -> str:
    return "".join(" " if it in "\r\n\0" else it for it in text).strip()
