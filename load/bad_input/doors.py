"""Every door of the API, as the running pod itself describes them, given texts that break servers.

What must hold of each answer: no 5xx, a status that ``/openapi.json`` lists for that door, and the
error form where it is a refusal. JSON that a parser must refuse is refused wherever a body is read.
"""

import http.client
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

_PATIENCE_S = 60.0
_JSON = "application/json"
_OPENAI = ("/v1/chat/completions", "/v1/embeddings", "/v1/models", "/v1/audio/")
# Of a stream the end is not near; nobody is there whose stream it would be.
_STANDS_FOR: Mapping[str, str] = {"generation": "1", "kb": "default", "channel": "none"}
_ABSENT = "absent"
HEADERS = (
    "Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Content-Type", "Cookie",
    "Host", "If-Match", "If-None-Match", "Last-Event-ID", "Idempotency-Key", "Origin", "Range",
    "Referer", "Sec-Fetch-Site", "traceparent", "tracestate", "User-Agent", "X-API-Key",
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-HTTP-Method-Override",
    "X-Original-URL", "X-Session-ID", "X-Trace-ID", "X-Turn-Default",
)  # fmt: skip
"""What a pod, its framework or its balancer might look at."""


@dataclass(frozen=True, slots=True)
class Door:
    """One method of one path."""

    method: str
    path: str
    reads_json: bool
    query: Sequence[str]
    statuses: frozenset[int]

    @property
    def places(self) -> Sequence[str]:
        """The names of the parameters in its path."""
        return [piece[1:-1] for piece in self.path.split("/") if piece.startswith("{")]

    def target(self, named: Mapping[str, str] | None = None) -> str:
        """Return its address; what ``named`` does not name is nobody's."""
        found = self.path
        for place in self.places:
            text = (named or {}).get(place, _STANDS_FOR.get(place, _ABSENT))
            found = found.replace(f"{{{place}}}", quote(text, safe=""))
        return found


@dataclass(slots=True)
class Tried:
    """What became of many requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.statuses.values())


@dataclass(frozen=True, slots=True)
class Said:
    """One answer, whole."""

    status: int
    media_type: str
    body: bytes


class Caller:
    """Asks a pod or its balancer, over one connection that is opened again where it was closed."""

    def __init__(self, port: int, *, key: str = "") -> None:
        self._port = port
        self._key = key
        self._connection = self._fresh()

    def ask(self, method: str, target: str, *, body: bytes | None = None, **headers: str) -> Said:
        """Return the answer. Underlines in the names of headers stand for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._key:
            named.setdefault("X-API-Key", self._key)
        if body is not None:
            named.setdefault("Content-Type", _JSON)
        try:
            return self._asked(method, target, body, named)
        except (http.client.RemoteDisconnected, ConnectionError):
            # A connection that was kept may be closed at any time; a fresh one may not.
            self._connection = self._fresh()
            return self._asked(method, target, body, named)

    def _fresh(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_S)

    def _asked(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Said:
        self._connection.putrequest(
            method, target, skip_host="Host" in headers, skip_accept_encoding=True
        )
        for name, value in headers.items():
            self._connection.putheader(name, value.encode())
        if body is not None or method in {"POST", "PUT"}:
            self._connection.putheader("Content-Length", str(len(body or b"")))
        self._connection.endheaders(body)
        answer = self._connection.getresponse()
        if answer.getheader("Content-Type", "").startswith("text/event-stream"):
            self._connection.close()  # it may last
            return Said(answer.status, "text/event-stream", b"")
        return Said(answer.status, answer.getheader("Content-Type", ""), answer.read())


def doors(caller: Caller) -> list[Door]:
    """Return every door that the pod describes."""
    described = json.loads(caller.ask("GET", "/openapi.json").body)
    found = []
    for path, methods in described["paths"].items():
        for method, told in methods.items():
            content = told.get("requestBody", {}).get("content", {})
            named = [it["name"] for it in told.get("parameters", []) if it["in"] == "query"]
            statuses = frozenset(int(status) for status in told["responses"])
            found.append(Door(method.upper(), path, _JSON in content, named, statuses))
    return found


def json_texts(data: Path, half: str = "*") -> Iterator[tuple[str, bytes, str]]:
    """Yield name, bytes and what a parser must do with them: accept, reject or either."""
    for manifest in sorted(data.glob(f"jsontestsuite/{half}/manifest.jsonl")):
        for row in rows(manifest):
            yield row["file"], (manifest.parent / row["file"]).read_bytes(), row["expect"]


def texts(data: Path, half: str = "*") -> list[str]:
    """Return every naughty and every attacking string."""
    names = (f"naughty_strings/{half}/strings.jsonl", f"attack_strings/{half}/strings.jsonl")
    return [row["text"] for name in names for file in sorted(data.glob(name)) for row in rows(file)]


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of JSON lines."""
    # Not splitlines: the strings hold line separators that JSON leaves as they are.
    for line in filter(None, file.read_text(encoding="utf-8").split("\n")):
        yield json.loads(line)


def try_json(caller: Caller, door: Door, bodies: Sequence[tuple[str, bytes, str]]) -> Tried:
    """Send each of the JSON texts to a door that reads a body."""
    tried = Tried()
    target = door.target()
    for name, body, expected in bodies:
        said = caller.ask(door.method, target, body=body)
        fault = _fault(door, said)
        if expected == "reject" and body and said.status < 400:
            fault = f"{said.status} although no parser may take it"
        _note(tried, said, fault, f"{door.method} {door.path}: {name}")
    return tried


def try_texts(caller: Caller, door: Door, wanted: Sequence[str]) -> Tried:
    """Send each of the texts as each part of the path, each parameter and each header."""
    tried = Tried()
    body = b"{}" if door.reads_json else None
    for number, text in enumerate(wanted):
        asked: list[tuple[str, dict[str, str]]]
        asked = [(door.target({place: text}), {}) for place in door.places]
        asked += [(f"{door.target()}?{name}={quote(text, safe='')}", {}) for name in door.query]
        # All headers with all texts at all doors would be a million; each meets each in turn.
        header = HEADERS[number % len(HEADERS)]
        asked += [(door.target(), {header: _line(text)})]
        for target, headers in asked:
            said = caller.ask(door.method, target, body=body, **headers)
            _note(tried, said, _fault(door, said), f"{door.method} {target} {headers}")
    return tried


def _line(text: str) -> str:
    return "".join(" " if it in "\r\n\0" else it for it in text)


def _note(tried: Tried, said: Said, fault: str, what: str) -> None:
    tried.statuses[said.status] += 1
    if fault:
        tried.faults.append(f"{what[:300]}: {fault}")


def _fault(door: Door, said: Said) -> str:
    if said.status >= 500 and said.status not in {501}:
        return f"{said.status} {said.body[:200]!r}"
    if said.status in {404, 405, 413} or said.status in door.statuses:
        return "" if said.status < 400 else _form_fault(door, said)
    return f"{said.status} is not described: {said.body[:200]!r}"


def _form_fault(door: Door, said: Said) -> str:
    if said.media_type.partition(";")[0] != _JSON:
        return f"{said.status} is {said.media_type}"
    error = json.loads(said.body).get("error", {})
    wanted = (
        {"message", "code"} if door.path.startswith(_OPENAI) else {"code", "message", "trace_id"}
    )
    return "" if wanted <= error.keys() else f"{said.status} lacks the form: {said.body[:200]!r}"
