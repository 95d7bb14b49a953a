"""The chain of the audit log: how an entry is written, and what proves that it is the one.

An entry is a line of JSON. Its hash is over all of the line but the hash itself; the line holds the
hash of the one before, so that nothing can be altered, removed or put between without all that
follows being made anew. With a key it is an HMAC, which nobody makes anew who has not the key.

A log is a **chain** of entries 1, 2, 3, … of one tenant. A store that lost its log begins another
chain, named by a higher number: the time (ms) at which it began. Lines are hashed as they are
stored, never as they would be written anew, so no later version of the program can break them.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast, get_args

from kotaemon_node.domain.audit import AuditEvent, AuditOutcome
from kotaemon_node.domain.credentials import problem_of

GENESIS: Final = "0" * 64
"""Stands for the hash of what is before the first entry."""
BEGUN: Final = "audit.begun"
"""The action of a chain's first entry."""
_PURPOSE: Final = b"kotaemon audit entry 1\n"
_KEY_PURPOSE: Final = b"kotaemon audit key 1\n"
_MARK: Final = '{"hash":"'
_BODY_AT: Final = len(_MARK) + 64 + len('",')
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_MAYBE_HALF: Final = b"\\ud"
"""Begins, in JSON, half of a character of two; we write none."""


@dataclass(frozen=True, slots=True)
class AuditKey:
    """One secret of ``AUDIT_KEY_FILE``; its id stands in the entries that it made."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str) -> "AuditKey":
        """Return the key of a line. Raises ``ValueError`` for one that protects nothing."""
        if problem := problem_of(text):
            raise ValueError(problem)
        secret = text.encode()
        return cls(hashlib.sha256(_KEY_PURPOSE + secret).hexdigest()[:8], secret)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a log."""

    chain: int
    seq: int
    hash: str

    @classmethod
    def beginning(cls, chain: int) -> "Head":
        """Return what is before the first entry."""
        return cls(chain, 0, GENESIS)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log, read."""

    raw: bytes = field(repr=False)
    hash: str
    before: str
    chain: int
    seq: int
    at: str
    id: str
    """The same where a process wrote an act twice because it was never told."""
    key: str
    """Id of the key; empty: made without one."""
    event: AuditEvent

    @property
    def head(self) -> Head:
        """The log as it is when this is the newest entry."""
        return Head(self.chain, self.seq, self.hash)

    def shown(self) -> dict[str, Any]:
        """Return it as it is shown: JSON without what only a verifier needs."""
        fields = asdict(self.event) | {"detail": dict(self.event.detail)}
        place = {"id": self.id, "chain": str(self.chain), "seq": self.seq, "at": self.at}
        return place | fields | {"hash": self.hash}


def line_of(
    event: AuditEvent, *, behind: Head, at_ms: int, entry_id: str, key: AuditKey | None
) -> tuple[bytes, Head]:
    """Return the line of an event behind ``behind``, and the head that the log has then."""
    place = {
        "chain": behind.chain,
        "seq": behind.seq + 1,
        "at": written_time(at_ms),
        "id": entry_id,
        "key": key.id if key else "",
        "before": behind.hash,
    }
    fields = asdict(event.clipped())
    body = json.dumps(place | fields, ensure_ascii=False, separators=(",", ":")).encode()
    made = hash_of(body, key)
    line = f'{_MARK}{made}",'.encode() + body[1:]
    return line, Head(behind.chain, behind.seq + 1, made)


def hash_of(body: bytes, key: AuditKey | None) -> str:
    """Return the hash of a line's body, which is the line without its first member."""
    if key is None:
        return hashlib.sha256(_PURPOSE + body).hexdigest()
    return hmac.new(key.secret, _PURPOSE + body, hashlib.sha256).hexdigest()


def read_line(line: bytes) -> Entry:
    """Read a line; it proves nothing yet. Raises ``ValueError`` where it is none.

    Who may write the store chose every byte of it: what is no hash, number, time or outcome is
    refused here, and nobody behind has to ask.
    """
    try:
        fields: Mapping[str, Any] = json.loads(line)
        if _MAYBE_HALF in line:
            json.dumps(fields, ensure_ascii=False).encode()  # half a character nobody can print
        if not line.startswith(_MARK.encode()) or line[_BODY_AT - 1 : _BODY_AT] != b",":
            raise ValueError("it does not begin with its hash")
        return Entry(
            raw=line,
            hash=_formed(fields, "hash", _HASH),
            before=_formed(fields, "before", _HASH),
            chain=_number(fields, "chain"),
            seq=_number(fields, "seq"),
            at=_formed(fields, "at", _TIME),
            id=_text(fields, "id"),
            key=_text(fields, "key"),
            event=AuditEvent(
                action=_text(fields, "action"),
                outcome=_outcome(fields["outcome"]),
                detail=dict(fields["detail"]),
                **{name: _text(fields, name) for name in _TEXTS},
            ),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("it is no entry of an audit log") from error


def is_whole(entry: Entry, keys: Sequence[AuditKey]) -> bool:
    """Tell whether the entry's hash is that of its line. ``LookupError``: its key is not there."""
    key = None
    if entry.key:
        key = next((one for one in keys if one.id == entry.key), None)
        if key is None:
            raise LookupError(entry.key)
    body = b"{" + entry.raw[_BODY_AT:]
    return hmac.compare_digest(hash_of(body, key), entry.hash)


def written_time(at_ms: int) -> str:
    """Return a time as entries have it: UTC to the millisecond, so that text sorts as time does."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_TEXTS: Final = ("tenant", "subject", "role", "credential", "target", "address", "trace_id")


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _formed(fields: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = _text(fields, name)
    if form.fullmatch(value) is None:
        raise ValueError(f"its {name} is none")
    return value


def _outcome(value: object) -> AuditOutcome:
    for known in get_args(AuditOutcome):
        if value == known:
            return cast(AuditOutcome, known)
    raise ValueError("its outcome is none")


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TypeError(name)
    return value
