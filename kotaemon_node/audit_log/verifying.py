"""Verifies a tenant's whole log: the artifact store's part, then the session store's.

The order of reading matters, because a leader moves entries meanwhile: anchors are listed before
the session store is read, and volumes after it. So nothing that moved is missed, and no anchor is
newer than what was read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.audit_log.archived import Archived, Volume, ends_keyed, lines_of, listed
from kotaemon_node.audit_log.beginnings import compare_beginning
from kotaemon_node.audit_log.findings import Span, Verification, entries_text
from kotaemon_node.audit_log.heads import SeenByChain
from kotaemon_node.audit_log.walking import ChainWalk
from kotaemon_node.domain.audit_chain import GENESIS, AuditKey, Head
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.audit import AuditStore, StoredLine
from kotaemon_node.ports.signing import Verifier

Progress = Callable[[int, int], None]
"""Told how many entries were looked at, and about how many there are."""

_PAGE: Final = 2_000
_AGAIN_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is looked at of one chain."""

    chain: Archived
    older: Sequence[Volume]
    """Not looked at: of before the time from which on it is wanted."""
    volumes: Sequence[Volume]
    rows: Sequence[StoredLine]
    head: Head | None
    """What the session store says, of the chain that it says is the newest."""

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to look at, and nothing tells that there should be."""
        return not self.volumes and not self.rows and self.told_to[0] <= self._passed_over

    @property
    def told_to(self) -> tuple[int, str]:
        """The newest entry that anybody tells of, and who."""
        told = self.chain.seen_to
        end, by = (told.seq, told.by) if told else (0, "")
        if self.head is not None and self.head.seq > end:
            return self.head.seq, "the store says so"
        return end, by

    @property
    def begins(self) -> tuple[int, str]:
        """Behind which entry the walk begins, and its hash; "": nobody knows that one."""
        if self.older:
            last = max(self.older, key=lambda volume: volume.last)
            firsts = [volume.first for volume in self.volumes] + [row.seq for row in self.rows]
            if firsts and firsts[0] <= last.last:  # moved twice, or not removed yet
                return firsts[0] - 1, self.volumes[0].before if self.volumes else ""
            return last.last, last.note.hash if last.note else ""
        retired = self.chain.retired
        return (retired.last, retired.hash) if retired else (0, GENESIS)

    @property
    def _passed_over(self) -> int:
        ends = [volume.last for volume in self.older]
        return max([*ends, self.chain.retired.last if self.chain.retired else 0])


class AuditVerifier:
    """Verifies logs; reads only."""

    def __init__(
        self,
        store: AuditStore,
        artifacts: ArtifactStore,
        *,
        keys: Sequence[AuditKey],
        verifier: Verifier,
        progress: Progress = lambda done, total: None,
        heads: Mapping[str, SeenByChain] | None = None,
    ) -> None:
        """``heads``: what processes saw of the logs, by tenant."""
        self._heads = heads or {}
        self._store = store
        self._artifacts = artifacts
        self._keys = keys
        self._verifier = verifier
        self._progress = progress

    def verify(self, tenant: str, *, since: str = "") -> Verification:
        """Look at all entries; with ``since`` (UTC, as entries have it) from the volume of it on.

        ``Unavailable`` or ``OSError`` where a store is away: then nothing is known.
        """
        found = Verification(tenant)
        signed = listed(
            self._artifacts, tenant, verifier=self._verifier, found=Verification(tenant)
        )
        head, stored = self._stored(tenant)
        there = listed(self._artifacts, tenant, verifier=self._verifier, found=found)
        for number, chain in signed.items():
            there.setdefault(number, Archived(number)).anchors = chain.anchors
        for number, seen in self._heads.get(tenant, {}).items():
            there.setdefault(number, Archived(number)).heads = seen
        total = _total(there, stored)
        excused = {str(number) for number, chain in there.items() if chain.retired}
        before: ChainWalk | None = None
        keyed = False
        ends = {head.chain} if head else set()
        for number in sorted({*there, *(row.chain for row in stored), *ends}):
            chain = there.get(number, Archived(number))
            rows = [row for row in stored if row.chain == number]
            older, volumes = chain.parted(since)
            if self._keys and not keyed and older:
                keyed = ends_keyed(self._artifacts, older[-1])
            wanted = _Wanted(chain, older, volumes, rows, head if number in ends else None)
            if wanted.nothing:
                continue
            walk = self._walk(wanted, found, total, keyed=keyed)
            keyed = walk.keyed
            found.chains += 1
            self._compare_ends(wanted, walk, found)
            compare_beginning(before, walk, found, excused=excused, since=since)
            _tell_span(walk, found)
            before = before if walk.last is None else walk
        self._compare_whole(head, there, stored, found)
        return found

    def _stored(self, tenant: str) -> tuple[Head | None, Sequence[StoredLine]]:
        """Return the session store's part: what its head says, and all lines up to that."""
        head, rows = self._read_once(tenant)
        for _ in range(_AGAIN_MAX):
            newer, _ms = self._store.head(tenant)
            if (newer and newer.chain) == (head and head.chain):
                break
            head, rows = self._read_once(tenant)  # another chain was begun while we read
        if head is None or newer is None or newer.seq <= head.seq:
            return head, rows
        # What was written while we read is behind the head that we compare with.
        end = (head.chain, head.seq)
        return head, [row for row in rows if (row.chain, row.seq) <= end]

    def _read_once(self, tenant: str) -> tuple[Head | None, Sequence[StoredLine]]:
        head, _ = self._store.head(tenant)
        rows: list[StoredLine] = []
        place = (0, 0)
        while page := self._store.oldest(tenant, behind=place, limit=_PAGE):
            rows += page
            place = (page[-1].chain, page[-1].seq)
            if head is not None and place >= (head.chain, head.seq):
                break
        return head, rows

    def _walk(
        self, wanted: "_Wanted", found: Verification, total: int, *, keyed: bool
    ) -> ChainWalk:
        """Walk what is wanted of one chain."""
        chain, rows = wanted.chain, wanted.rows
        begins, before = wanted.begins
        walk = ChainWalk(
            chain.chain,
            found=found,
            keys=self._keys,
            anchors=chain.seen(),
            begins_behind=begins,
            before=before or None,
            keyed=keyed,
        )
        for volume in wanted.volumes:
            walk.begin_source()
            if volume.note is None and not _covered(rows, volume.first, volume.last):
                text = f"nobody has signed for {entries_text(volume.first, volume.last)}"
                found.add("unsigned", chain.chain, volume.first, f"{text} ({volume.name})")
            for line in lines_of(self._artifacts, volume, found=found):
                walk.take(line)
            self._progress(found.entries, total)
        walk.begin_source()
        for row in rows:
            walk.take(row.line, place=row.seq)
        self._progress(found.entries, total)
        return walk

    def _compare_ends(self, wanted: "_Wanted", walk: ChainWalk, found: Verification) -> None:
        """Compare where the entries end with what was signed, and with what the store says."""
        chain, head = wanted.chain, wanted.head
        last = walk.next - 1
        end, by = wanted.told_to
        if end > last:
            text = f"the log ends with entry {last}, and went to entry {end} ({by})"
            found.add("truncated", chain.chain, last + 1, text)
        elif head is not None:
            same = walk.last is None or walk.last.seq != last or head.hash == walk.last.hash
            if head.seq != last or not same:
                text = (
                    f"the store says that the log ends with entry {head.seq}, it ends with {last}"
                )
                found.add("head", chain.chain, head.seq, text)
        walk.finish()

    def _compare_whole(
        self,
        head: Head | None,
        there: dict[int, Archived],
        stored: Sequence[StoredLine],
        found: Verification,
    ) -> None:
        if head is None and (stored or any(chain.seen_to for chain in there.values())):
            newest = max({*there, *(row.chain for row in stored)})
            found.add("head", newest, 0, "the store does not know any more where the log ends")
        if self._keys:
            found.tell_unkeyed()


def _tell_span(walk: ChainWalk, found: Verification) -> None:
    if walk.first is not None and walk.last is not None:
        found.spans.append(Span(walk.chain, walk.first.seq, walk.last.seq, walk.last.hash))


def _covered(rows: Sequence[StoredLine], first: int, last: int) -> bool:
    """Tell whether the session store has these entries still: a leader is about to sign."""
    return bool(rows) and rows[0].seq <= first and rows[-1].seq >= last


def _total(there: dict[int, Archived], stored: Sequence[StoredLine]) -> int:
    volumes = [volume for chain in there.values() for volume in chain.volumes]
    return sum(volume.last - volume.first + 1 for volume in volumes) + len(stored)
