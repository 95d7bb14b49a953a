"""A build that the gate holds: why it is not published, and for which state of the folder."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LostProbe:
    """A question that the build answers worse; recalls are shares of the expected documents."""

    question: str
    documents: tuple[str, ...]
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class HeldBuild:
    """What keeps a build out."""

    key: str
    """Digest of the generation before, the files and the probes: another key is tried again."""
    kb: str
    generation: int
    """The one that is served on."""
    at: str
    """ISO 8601, UTC."""
    reason: str
    recall: float | None
    """Of the build, over the probes that have an answer; None where none was asked."""
    recall_before: float | None
    lost: tuple[LostProbe, ...] = ()
    unanswerable: tuple[str, ...] = ()
    """Questions whose documents were all deleted by wish."""

    def to_json(self) -> bytes:
        """Return it as the artifact store keeps it."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> "HeldBuild":
        """Read ``to_json``'s bytes; ``ValueError``, ``KeyError`` or ``TypeError`` for others."""
        fields: dict[str, Any] = json.loads(raw)
        lost = tuple(_lost(row) for row in fields.pop("lost"))
        return cls(lost=lost, unanswerable=tuple(fields.pop("unanswerable")), **fields)


def _lost(row: Mapping[str, Any]) -> LostProbe:
    return LostProbe(row["question"], tuple(row["documents"]), row["before"], row["now"])
