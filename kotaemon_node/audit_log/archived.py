"""What lies of a tenant's log in the artifact store: volumes, and the notes that tell of them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kotaemon_node.audit_log.findings import Verification, entries_text
from kotaemon_node.audit_log.heads import Seen
from kotaemon_node.audit_log.notes import Note, read_note
from kotaemon_node.audit_log.volumes import unpacked
from kotaemon_node.domain.audit_chain import read_line
from kotaemon_node.domain.audit_names import (
    audit_prefix,
    chain_of,
    kind_of_note,
    volume_name,
    volume_numbers,
)
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.signing import Verifier


@dataclass(frozen=True, slots=True)
class Volume:
    """A file of entries, or a note of one."""

    chain: int
    first: int
    last: int
    name: str
    note: Note | None
    """None: nobody has signed for it."""

    @property
    def before(self) -> str:
        """The hash before its first entry; "" where nobody signed for it."""
        return self.note.before if self.note else ""

    @property
    def until(self) -> str:
        """The time up to which it may hold entries; what nobody signed for may hold any.

        Entries say themselves when they were made, and may lie; when they were moved, they do not.
        """
        return max(self.note.to_at, self.note.made_at) if self.note else "9"


@dataclass(slots=True)
class Archived:
    """What a listing of the artifact store has shown of one chain."""

    chain: int
    volumes: list[Volume] = field(default_factory=list)
    anchors: list[Note] = field(default_factory=list)
    retired: Note | None = None
    heads: Mapping[int, Sequence[Seen]] = field(default_factory=dict)
    """What processes saw of it, by the number of the entry."""

    @property
    def seen_to(self) -> Seen | None:
        """The newest entry that somebody signed for, or that a process saw."""
        seen = self.seen()
        return seen[max(seen)][0] if seen else None

    def parted(self, since: str) -> tuple[Sequence[Volume], Sequence[Volume]]:
        """Return the volumes before the one of a time ("": none is), and those from it on.

        Those whose time is over, which are about to be removed, are neither.
        """
        over = self.retired.last if self.retired else 0
        kept = [volume for volume in self.volumes if volume.last > over]
        at = next((at for at, one in enumerate(kept) if one.until >= since), len(kept))
        return kept[:at], kept[at:]

    def seen(self) -> Mapping[int, Sequence[Seen]]:
        """Return what was signed for, and what processes saw, by the number of the entry."""
        found = {seq: list(seen) for seq, seen in self.heads.items()}
        notes = [volume.note for volume in self.volumes if volume.note] + self.anchors
        for note in notes:
            by = f"signed for at {note.made_at}"
            found.setdefault(note.last, []).insert(0, Seen(note.last, note.hash, by))
        return found


def listed(
    store: ArtifactStore, tenant: str, *, verifier: Verifier, found: Verification
) -> dict[int, Archived]:
    """Return the chains that lie there. Names what nobody signed."""
    chains: dict[int, Archived] = {}
    files: dict[str, tuple[int, int, int]] = {}
    notes: list[Note] = []
    for name in store.list(audit_prefix(tenant)):
        numbers = volume_numbers(name)
        if numbers:
            files[name] = numbers
        elif kind_of_note(name):
            notes += _signed_note(store, name, verifier, found)
    for note in notes:
        chain = chains.setdefault(note.chain, Archived(note.chain))
        _take(chain, note)
    told = {volume.name for chain in chains.values() for volume in chain.volumes}
    for name, (number, first, last) in files.items():
        if name not in told:
            chain = chains.setdefault(number, Archived(number))
            chain.volumes.append(Volume(number, first, last, name, None))
    for chain in chains.values():
        chain.volumes.sort(key=lambda volume: (volume.first, volume.last))
    return chains


def _signed_note(
    store: ArtifactStore, name: str, verifier: Verifier, found: Verification
) -> Sequence[Note]:
    """Return the note of a name; none where it was removed this moment, or nobody signed it."""
    raw = store.get(name)
    try:
        return [] if raw is None else [read_note(raw, verifier, name=name)]
    except CorruptArtifact as error:
        found.add("unsigned", chain_of(name), 0, f"the note {name} does not count: {error}")
        return []


def _take(chain: Archived, note: Note) -> None:
    match note.kind:
        case "volume":
            name = volume_name(note.tenant, note.chain, note.first, note.last, note.sha256)
            chain.volumes.append(Volume(note.chain, note.first, note.last, name, note))
        case "anchor":
            chain.anchors.append(note)
        case "retired":
            if chain.retired is None or note.last > chain.retired.last:
                chain.retired = note


def ends_keyed(store: ArtifactStore, volume: Volume) -> bool:
    """Tell whether the last entry of a volume was made with a key; so, too, if nobody can tell."""
    content = store.get(volume.name)
    if content is None or volume.note is None:
        return True
    if hashlib.sha256(content).hexdigest() != volume.note.sha256:
        return True
    try:
        return bool(read_line(unpacked(content)[-1]).key)
    except (CorruptArtifact, ValueError, IndexError):
        return True


def lines_of(store: ArtifactStore, volume: Volume, *, found: Verification) -> Iterator[bytes]:
    """Yield the lines of a volume; names one that is not there, or not as it was written."""
    what = entries_text(volume.first, volume.last)
    content = store.get(volume.name)
    if content is None:
        text = f"the volume of {what} is gone ({volume.name})"
        found.add("volume_gone", volume.chain, volume.first, text)
        return
    found.volumes += 1
    note = volume.note
    if note is not None and hashlib.sha256(content).hexdigest() != note.sha256:
        text = f"the volume of {what} is not as it was written ({volume.name})"
        found.add("volume_altered", volume.chain, volume.first, text)
    try:
        yield from unpacked(content)
    except CorruptArtifact as error:
        text = f"the volume of {what} cannot be read: {error} ({volume.name})"
        found.add("volume_altered", volume.chain, volume.first, text)
