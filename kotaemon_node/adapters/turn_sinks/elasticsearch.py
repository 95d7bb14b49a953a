"""The log of turns in Elasticsearch: documents that are created under ids of their own.

``create`` with the id of the entry: one that is there already answers 409, and that is as good. So
a batch of which some failed is simply sent again. What Elasticsearch will never take, as a field
that does not fit the mapping, goes into a file beside, with the reason, and holds nothing up.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import requests
import structlog

from kotaemon_node.adapters.turn_sinks.json_lines import JsonLinesSink
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.limits import (
    TURN_SINK_ANSWER_BYTES_MAX,
    TURN_SINK_BODY_BYTES_MAX,
    TURN_SINK_TIMEOUT_S,
)
from kotaemon_node.ports.turn_sinks import LogEntry

_log = structlog.get_logger(__name__)

INDEX: Final = "kotaemon-turns-%Y.%m"
"""A month of a million turns without texts is about a gigabyte: one shard."""
_ID_BYTES_MAX: Final = 512  # Elasticsearch's own bound
_CONFLICT, _TOO_LARGE = 409, 413
_TAKEN: Final = frozenset({200, 201, _CONFLICT})
# The operator's fault or nobody's: it passes, and then all of it is wanted.
_PASSING: Final = frozenset({401, 403, 404, 408, 429})
_SHOWN: Final = "errors,items.create.status,items.create.error.type,items.create.error.reason"


@dataclass(frozen=True, slots=True)
class ElasticsearchPlace:
    """Where it is and how it lets us in."""

    url: str
    index: str = INDEX
    """Name of the index; ``%Y``, ``%m`` and ``%d`` are those of the turn."""
    api_key: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None

    def headers(self) -> dict[str, str]:
        """Return what every request carries."""
        told = {"Content-Type": "application/x-ndjson"}
        if self.api_key:
            told["Authorization"] = f"ApiKey {self.api_key}"
        return told


class ElasticsearchSink:
    """``ports.turn_sinks.TurnSink``."""

    def __init__(self, place: ElasticsearchPlace, *, refused: JsonLinesSink) -> None:
        """``refused`` keeps what Elasticsearch never takes."""
        self._place = place
        self._refused = refused
        self._http = requests.Session()
        self._http.trust_env = False  # no .netrc: it would take the place of what we were given
        self._http.headers.update(place.headers())
        if place.username and not place.api_key:
            self._http.auth = (place.username, place.password)
        if place.ca_file is not None:
            self._http.verify = str(place.ca_file)

    def keep(self, entries: Sequence[LogEntry]) -> int:
        """See the port."""
        return sum(self._send(part) for part in _parts(entries, self._place.index))

    def close(self) -> None:
        """See the port."""
        self._http.close()
        self._refused.close()

    def _send(self, part: Sequence["_Line"]) -> int:
        """Send one request; return how many were new."""
        answer = self._post(b"".join(line.raw for line in part))
        if answer.status_code == _TOO_LARGE:
            if len(part) == 1:
                self._put_aside([(part[0], "the document is too large for the server")])
                return 0
            half = len(part) // 2
            return self._send(part[:half]) + self._send(part[half:])
        if answer.status_code != 200:
            raise Unavailable(f"Elasticsearch answered {answer.status_code}")
        return self._judged(part, _items(answer))

    def _judged(self, part: Sequence["_Line"], items: Sequence[Mapping[str, Any]]) -> int:
        if len(items) != len(part):
            raise Unavailable("Elasticsearch answered for another number of documents")
        aside: list[tuple[_Line, str]] = []
        again = ""
        for line, item in zip(part, items, strict=True):
            status = int(item.get("status") or 0)
            if status in _TAKEN:
                continue
            error = item.get("error") or {}
            reason = f"{status} {error.get('type', '')}: {error.get('reason', '')}"[:1_000]
            if status in _PASSING or not 400 <= status < 500:
                again = again or reason
            else:
                aside.append((line, reason))
        self._put_aside(aside)
        if again:
            raise Unavailable(f"Elasticsearch did not take all documents: {again}")
        return sum(item.get("status") in (200, 201) for item in items)

    def _post(self, body: bytes) -> requests.Response:
        try:
            return self._http.post(
                f"{self._place.url.rstrip('/')}/_bulk",
                params={"filter_path": _SHOWN},
                data=body,
                timeout=TURN_SINK_TIMEOUT_S,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # Its own text may hold the address with what stands in it.
            raise Unavailable(f"Elasticsearch gave no answer: {type(error).__name__}") from error

    def _put_aside(self, lines: Sequence[tuple["_Line", str]]) -> None:
        for line, reason in lines:
            _log.error("turn_log_refused", event_id=line.entry.event_id, reason=reason)
        self._refused.append(
            {
                line.entry.event_id: {
                    "event_id": line.entry.event_id,
                    "reason": reason,
                    "entry": dict(line.entry.fields),
                }
                for line, reason in lines
            }
        )


@dataclass(frozen=True, slots=True)
class _Line:
    entry: LogEntry
    raw: bytes


def _parts(entries: Sequence[LogEntry], index: str) -> Iterator[Sequence[_Line]]:
    """Yield what goes into one request each."""
    part: list[_Line] = []
    size = 0
    for entry in entries:
        line = _Line(entry, _raw(entry, index))
        if part and size + len(line.raw) > TURN_SINK_BODY_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line.raw)
    if part:
        yield part


def _raw(entry: LogEntry, index: str) -> bytes:
    action = {"create": {"_index": index_of(index, entry.at), "_id": id_of(entry.event_id)}}
    document = {"@timestamp": entry.at, **entry.fields}
    return orjson.dumps(action) + b"\n" + orjson.dumps(document) + b"\n"


def id_of(event_id: str) -> str:
    """Return the document's id: that of the entry, or a digest of one that is too long."""
    raw = event_id.encode()
    return event_id if len(raw) <= _ID_BYTES_MAX else hashlib.sha256(raw).hexdigest()


def index_of(pattern: str, at: str) -> str:
    """Return the index of a turn. It follows from the turn, so a repeat meets the same one."""
    try:
        when = datetime.fromisoformat(at)
    except ValueError:
        when = datetime.fromtimestamp(0, UTC)
    return when.strftime(pattern)


def _items(answer: requests.Response) -> Sequence[Mapping[str, Any]]:
    if len(answer.content) > TURN_SINK_ANSWER_BYTES_MAX:
        raise Unavailable("Elasticsearch answered more than anybody reads")
    try:
        told = orjson.loads(answer.content)
        return [item["create"] for item in told["items"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable("Elasticsearch gave an answer that cannot be read") from error
