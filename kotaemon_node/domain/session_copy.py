"""A session as the archive keeps it: all that the session store held, under a name that says when.

Law 1: a copy's name never changes its content: it holds the time of the last activity, the version
       and the epoch, and a session that differs in anything differs in one of them.
Law 2: names of one session sort by that time, so that the last one is the newest.
Law 3: rows of the history are kept byte for byte, because the session's hash is made of them.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import quote, unquote

from kotaemon_node.domain.artifact_names import session_copies_prefix
from kotaemon_node.domain.errors import CorruptArtifact, Unavailable
from kotaemon_node.domain.session import SessionKey

FORMAT: Final = 1
_END: Final = ".json.z"


@dataclass(frozen=True, slots=True, order=True)
class CopyName:
    """The last step of a copy's name. ``active_ms``: when the session last did something."""

    active_ms: int
    version: int
    epoch: str

    @classmethod
    def read(cls, name: str) -> Self | None:
        """Read the name of an artifact back; None where it is no copy's."""
        active, _, rest = name.rpartition("/")[2].removesuffix(_END).partition("-")
        version, _, epoch = rest.partition("-")
        if not (name.endswith(_END) and active.isdecimal() and version.isdecimal() and epoch):
            return None
        return cls(int(active), int(version), unquote(epoch))

    def of(self, key: SessionKey) -> str:
        """Return the name of the artifact."""
        last = f"{self.active_ms:014d}-{self.version:08d}-{quote(self.epoch, safe='')}{_END}"
        return session_copies_prefix(key.tenant, key.session_id) + last


@dataclass(frozen=True, slots=True)
class SessionCopy:
    """Everything that the session store holds of a session that rests."""

    key: SessionKey
    meta: Mapping[str, str]
    """Epoch, version, hash, fence, principal, context, slots, summary, generations, …"""
    turns: tuple[bytes, ...]
    """The history, oldest first, as the store keeps it."""
    seen: Mapping[str, str]
    """Turn id to the digest of its request, and where its answer is."""
    past: Mapping[str, str]
    """Epochs before, and why they were left."""
    feedback: Mapping[str, str] = field(default_factory=dict)
    """Turn id to what people said of its answer (JSON)."""

    @property
    def name(self) -> CopyName:
        """When it was so."""
        meta = self.meta
        return CopyName(int(meta["active_ms"]), int(meta["version"]), meta["epoch"])

    @property
    def whole(self) -> bool:
        """Whether the history is the one that version and hash were made of."""
        version, hash_ = int(self.meta["version"]), self.meta["hash"]
        return version == len(self.turns) and hash_ == _hash(self.turns)

    def packed(self) -> bytes:
        """Return it as compressed JSON."""
        content = {
            "format": FORMAT,
            "tenant": self.key.tenant,
            "session_id": self.key.session_id,
            "meta": dict(self.meta),
            "turns": [_row_json(row) for row in self.turns],
            "seen": dict(self.seen),
            "past": dict(self.past),
            "feedback": dict(self.feedback),
        }
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return zlib.compress(text.encode(), 6)


def unpacked(content: bytes) -> SessionCopy:
    """Read ``SessionCopy.packed`` back.

    Raises ``CorruptArtifact`` where it is damaged or the history is not the one that its hash was
    made of, ``Unavailable`` where it is of another format.
    """
    try:
        kept = json.loads(zlib.decompress(content))
        if kept["format"] != FORMAT:
            # Written by a newer program: while a cluster is updated, another pod may read it.
            raise Unavailable(f"an archived session of format {kept['format']}, not {FORMAT}")
        copy = SessionCopy(
            key=SessionKey(kept["tenant"], kept["session_id"]),
            meta=kept["meta"],
            turns=tuple(_row_bytes(row) for row in kept["turns"]),
            seen=kept["seen"],
            past=kept["past"],
            feedback=kept.get("feedback", {}),  # older copies have none
        )
        whole = copy.whole
    except (zlib.error, ValueError, LookupError, TypeError) as error:
        raise CorruptArtifact("an archived session cannot be read") from error
    if not whole:
        raise CorruptArtifact("an archived session is not as it was archived")
    return copy


def _row_json(row: bytes) -> Any:
    """Return a row as text, or one that was compressed in the store as {"z": base64}."""
    if row.startswith(b"{"):
        return row.decode()
    return {"z": base64.b64encode(row).decode()}


def _row_bytes(kept: Any) -> bytes:
    return kept.encode() if isinstance(kept, str) else base64.b64decode(kept["z"], validate=True)


def _hash(rows: Sequence[bytes]) -> str:
    """Return the hash of a history, as a commit makes it."""
    hash_ = ""
    for row in rows:
        hash_ = hashlib.sha1(hash_.encode() + row, usedforsecurity=False).hexdigest()
    return hash_
