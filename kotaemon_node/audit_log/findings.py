"""What a verifier can find wrong with an audit log, in words that name the place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from kotaemon_node.domain import audit_limits as limits

Kind = Literal[
    "altered",
    "missing",
    "moved",
    "twice",
    "unlinked",
    "truncated",
    "begun_again",
    "set_back",
    "anchor",
    "head",
    "volume_gone",
    "volume_altered",
    "unsigned",
    "unkeyed",
    "unknown_key",
]

MEANINGS: Final[Mapping[Kind, str]] = {
    "altered": "The entry is not as it was written.",
    "missing": "Entries between two others are not there.",
    "moved": "An entry stands behind a later one.",
    "twice": "An entry is there more than once.",
    "unlinked": "The entry does not follow the one before it, which was replaced.",
    "truncated": "The newest entries are not there: something tells of later ones.",
    "begun_again": "The store lost its log, and another chain begins.",
    "set_back": "A process had seen more of the log than there was, and noted it in the log.",
    "anchor": "The entry is not the one that the coordinator signed for, or that a process saw.",
    "head": "The store says that the log ends elsewhere than it does.",
    "volume_gone": "A volume is not in the artifact store, and no retirement tells of it.",
    "volume_altered": "A volume is not as it was written.",
    "unsigned": "A note was not signed by anybody who is trusted.",
    "unkeyed": "An entry was made without a key though one was in use; or all were.",
    "unknown_key": "An entry was made with a key that the verifier was not given.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    chain: int
    seq: int
    """The entry that it is about, or the first of them; 0: the chain."""
    text: str
    """A sentence that names the place."""


@dataclass(frozen=True, slots=True)
class Span:
    """Entries of one chain that were looked at, and the hash of the last one."""

    chain: int
    first: int
    last: int
    hash: str


@dataclass(slots=True)
class Verification:
    """What was looked at, and what was found."""

    tenant: str
    entries: int = 0
    """Entries whose hash was compared."""
    first_at: str = ""
    last_at: str = ""
    chains: int = 0
    volumes: int = 0
    unkeyed: int = 0
    """Entries of before there was a key, whose hashes anybody can make."""
    findings: list[Finding] = field(default_factory=list)
    more: int = 0
    """Findings beyond those that are told."""
    spans: list[Span] = field(default_factory=list)
    """By chain; for people to compare with what they know of the log."""

    def add(self, kind: Kind, chain: int, seq: int, text: str) -> None:
        """Note a finding."""
        if len(self.findings) < limits.AUDIT_FINDINGS_MAX:
            self.findings.append(Finding(kind, chain, seq, text))
        else:
            self.more += 1

    def tell_unkeyed(self) -> None:
        """Note it where, though keys are given, no entry was made with any: who has none did."""
        if self.entries and self.unkeyed == self.entries:
            self.add("unkeyed", 0, 0, "no entry was made with a key, though keys are given")

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def entries_text(first: int, last: int) -> str:
    """Return how entries are named."""
    return f"entry {first}" if first == last else f"entries {first} to {last}"
