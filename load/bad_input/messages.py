"""Malformed and smuggling HTTP messages, through the balancer and straight to a pod.

What must hold of each: an end, no 5xx, every refusal in the one form, and one reading: the pod
reads no request that the balancer did not pass on. One that only one of the two sees would become
another client's.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import requests

from load.bad_input.site import NUMBER, Site
from load.bad_input.wire import Exchange, exchange

Expected = Literal["accept", "reject", "incomplete", "no-desync"]

SMUGGLED = "/v1/sessions/smuggled"
_PATIENCE_S = 30.0
_HIDDEN = f"GET {SMUGGLED} HTTP/1.1\r\nHost: pod\r\nX-Rest: ".encode()
_BALANCERS_OWN = (
    b"<h1>400 Bad request</h1>\nYour browser sent an invalid request.\n</body></html>\n",
    b"<h1>413 Payload Too Large</h1>\nThe request entity exceeds the maximum allowed.\n",
)
_OWN_TARGET = b"POST /chat HTTP/1.1"


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes that are one request, several, or none."""

    id: str
    raw: bytes
    expected: Expected


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a message."""

    id: str
    expected: Expected
    statuses: tuple[int, ...]
    fault: str
    """Empty: all that must hold held."""

    @property
    def accepted(self) -> bool:
        """Whether the first request in it was taken for one."""
        return bool(self.statuses) and self.statuses[0] not in {400, 408, 414, 431, 501, 505}


def messages(data: Path, half: str = "*") -> Iterator[Message]:
    """Yield the requests of the public set; each smuggling one also at a route that reads bodies.

    And each of those once more with a whole request hidden where only one of two readers finds it.
    """
    files = sorted(data.glob(f"http_malformed/{half}/messages.jsonl"))
    for row in (json.loads(line) for file in files for line in _lines(file)):
        if row["direction"] != "request":
            continue
        message = Message(row["id"], base64.b64decode(row["raw_b64"]), row["expect"])
        yield message
        if message.expected == "no-desync":
            yield from _aimed(message)


class Player:
    """Plays messages on a site, and looks after each whether another client is unharmed."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._others = 0
        self._other = requests.Session()  # one connection, which shares those to the pod

    def balanced(self, message: Message) -> Played:
        """Play it through the balancer."""
        return self._played(message, self._site.balancer_port)

    def direct(self, message: Message) -> Played:
        """Play it straight to the pod."""
        return self._played(message, self._site.pod_port)

    def _played(self, message: Message, port: int) -> Played:
        site = self._site
        before, passed_before = len(site.read()), site.passed()
        got = exchange(port, message.raw, patience_s=_PATIENCE_S)
        statuses = tuple(answer.status for answer in got.answers)
        passed = site.passed() - passed_before if port == site.balancer_port else None
        fault = (
            _fault(got)
            or _two_readings(got, site.settled(after=before, passed=passed), passed)
            or self._harm_to_another()
        )
        return Played(message.id, message.expected, statuses, fault)

    def _harm_to_another(self) -> str:
        self._others += 1
        target = f"/v1/sessions/other-{self._others}"
        answer = self._other.get(f"{self._site.url}{target}", timeout=_PATIENCE_S)
        number = answer.headers.get(NUMBER, "")
        line = self._site.read()[int(number) - 1] if number.isdigit() else None
        if line is None or line["target"] != target:
            return f"another client's request was answered {answer.status_code} as {line}"
        return ""


def _fault(got: Exchange) -> str:
    if not got.ended:
        return f"no end within {_PATIENCE_S:.0f} s"
    for answer in got.answers:
        if answer.status >= 500:
            return f"answered with {answer.status}"
        if answer.status < 400 or answer.headers.get("content-type") == "application/json":
            continue
        # To what is no HTTP the balancer says a sentence of its own, which cannot be changed.
        if not any(told in got.raw for told in _BALANCERS_OWN):
            return f"{answer.status} is not in the form of an error: {answer.headers}"
    return ""


def _two_readings(got: Exchange, read: list[dict[str, Any]], passed: int | None) -> str:
    numbered = [answer for answer in got.answers if NUMBER in answer.headers]
    if len(numbered) > len(read):
        return f"{len(numbered)} answers, {len(read)} requests read: {read}"
    if passed is None:
        # Straight to the pod there is one reader: it must answer what it reads.
        return "" if len(numbered) == len(read) else f"{len(read)} read, {len(numbered)} answered"
    if len(read) > passed:
        return f"the balancer passed on {passed} requests, the pod read {len(read)}: {read}"
    return ""


def _aimed(message: Message) -> Iterator[Message]:
    head, _, body = message.raw.partition(b"\r\n\r\n")
    _, _, rest = head.partition(b"\r\n")
    yield Message(
        f"{message.id}@chat", _OWN_TARGET + b"\r\n" + rest + b"\r\n\r\n" + body, message.expected
    )
    hidden = b"0\r\n\r\n" + _HIDDEN
    lines = [line for line in rest.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    if len(lines) == len(rest.split(b"\r\n")):
        return
    length = b"Content-Length: %d" % len(hidden)
    yield Message(
        f"{message.id}@hidden",
        b"\r\n".join([_OWN_TARGET, *lines, length]) + b"\r\n\r\n" + hidden,
        message.expected,
    )


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text("utf-8").split("\n") if line]
