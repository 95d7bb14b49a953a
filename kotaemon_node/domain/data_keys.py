"""Data keys of tenants, as they are kept: wrapped by a master key, never in the clear."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

import orjson

from kotaemon_node.domain.errors import CorruptArtifact

KEY_ID_BYTES: Final = 8
_FIELDS: Final = {
    "id": str,
    "tenant": str,
    "made_ms": int,
    "master": str,
    "wrapped": str,
    "wraps": int,
}


@dataclass(frozen=True, slots=True)
class DataKeyRow:
    """What is kept of one data key."""

    id: str
    """16 hex digits, random; stands in every value that the key sealed."""
    tenant: str
    made_ms: int
    master: str
    """Id of the master key that wrapped it."""
    wrapped: str = field(repr=False)
    """Base64; opens with that master key for this tenant and id alone."""
    wraps: int = 0
    """How often it was wrapped anew."""

    @property
    def wrapping(self) -> tuple[int, str]:
        """Of two rows of one key the one with the greater counts, whoever compares them."""
        return self.wraps, self.master

    def to_json(self) -> bytes:
        """Return the form in which stores keep it; the same for equal rows."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, raw: bytes) -> "DataKeyRow":
        """Read ``to_json`` back; raises ``CorruptArtifact``."""
        try:
            said = orjson.loads(raw)
            if all(type(said[name]) is kind for name, kind in _FIELDS.items()):
                return cls(**{name: said[name] for name in _FIELDS})
        except (ValueError, KeyError, TypeError):
            pass
        raise CorruptArtifact("what is kept of a data key cannot be read")


@dataclass(frozen=True, slots=True)
class DataKeyTable:
    """What one place knows of a tenant's data keys."""

    rows: Mapping[str, DataKeyRow] = field(default_factory=dict)
    """By id."""
    destroyed: frozenset[str] = frozenset()
    """Ids of keys that were destroyed on purpose: they never come back."""
    newest: str = ""
    """Id of the key that was made last, be it destroyed by now; "": none ever was, here."""
    left: frozenset[str] = frozenset()
    """Ids of destroyed keys of which something is still there, and is to be removed."""

    def by_age(self) -> list[DataKeyRow]:
        """Return the rows, the one that seals first."""
        order = sorted(self.rows.values(), key=lambda row: (row.made_ms, row.id), reverse=True)
        return sorted(order, key=lambda row: row.id != self.newest)
