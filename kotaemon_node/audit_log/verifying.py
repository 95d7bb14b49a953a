"""Verifies a tenant's whole log: the artifact store's part, then the session store's.

The order of reading matters, because a leader moves entries meanwhile: anchors are listed before
the session store is read, and volumes after it. So nothing that moved is missed, and no anchor is
newer than what was read.
"""

from collections.abc import Callable, Mapping, Sequence

from kotaemon_node.audit_log.archived import Archived, Volume, lines_of, listed
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

_PAGE: int = 2_000


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
        for number in sorted({*there, *(row.chain for row in stored)}):
            chain = there.get(number, Archived(number))
            rows = [row for row in stored if row.chain == number]
            keyed = before is not None and before.keyed
            walk = self._walk(chain, rows, found, since, total, keyed=keyed)
            if walk is None:
                continue
            found.chains += 1
            self._compare_ends(chain, walk, head, found)
            compare_beginning(before, walk, found, excused=excused, since=since)
            _tell_span(walk, found)
            before = walk
        self._compare_whole(head, there, stored, found, since=since)
        return found

    def _stored(self, tenant: str) -> tuple[Head | None, Sequence[StoredLine]]:
        """Return the session store's part: what its head says, and all lines up to that."""
        head, _ = self._store.head(tenant)
        rows: list[StoredLine] = []
        place = (0, 0)
        while page := self._store.oldest(tenant, behind=place, limit=_PAGE):
            rows += page
            place = (page[-1].chain, page[-1].seq)
            if head is not None and place >= (head.chain, head.seq):
                break
        newer, _ = self._store.head(tenant)
        if head is None or newer is None or newer.chain != head.chain:
            return newer, rows
        # What was written while we read is behind the head that we compare with.
        later = newer.seq > head.seq
        end = (head.chain, head.seq)
        return head, [row for row in rows if not later or (row.chain, row.seq) <= end]

    def _walk(
        self,
        chain: Archived,
        rows: Sequence[StoredLine],
        found: Verification,
        since: str,
        total: int,
        *,
        keyed: bool,
    ) -> ChainWalk | None:
        """Walk one chain; None where nothing of it is wanted."""
        volumes = [
            one for one in chain.volumes if not (since and one.note and one.note.to_at < since)
        ]
        if not volumes and not rows and (since or chain.retired) and not chain.anchors:
            return None
        walk = self._begun(chain, volumes, rows, found, keyed=keyed)
        for volume in volumes:
            if chain.retired and volume.last <= chain.retired.last:
                continue  # its time is over, and it is about to be removed
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

    def _begun(
        self,
        chain: Archived,
        volumes: Sequence[Volume],
        rows: Sequence[StoredLine],
        found: Verification,
        *,
        keyed: bool,
    ) -> ChainWalk:
        """Return the walk before its first step: behind which entry, and which hash, it begins."""
        begins, before = 0, str(GENESIS)
        if len(volumes) < len(chain.volumes):  # older ones are not wanted
            begins, before = rows[0].seq - 1 if rows else 0, ""
            if volumes:
                begins, before = volumes[0].first - 1, volumes[0].before
        elif chain.retired is not None:
            begins, before = chain.retired.last, chain.retired.hash
        return ChainWalk(
            chain.chain,
            found=found,
            keys=self._keys,
            anchors=chain.seen(),
            begins_behind=begins,
            before=before or None,
            keyed=keyed,
        )

    def _compare_ends(
        self, chain: Archived, walk: ChainWalk, head: Head | None, found: Verification
    ) -> None:
        """Compare where the entries end with what was signed, and with what the store says."""
        last = walk.next - 1
        told = chain.seen_to
        end, by = (told.seq, told.by) if told else (0, "")
        if head is not None and head.chain == chain.chain and head.seq > end:
            end, by = head.seq, "the store says so"
        if end > last:
            text = f"the log ends with entry {last}, and went to entry {end} ({by})"
            found.add("truncated", chain.chain, last + 1, text)
        elif head is not None and head.chain == chain.chain:
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
        *,
        since: str,
    ) -> None:
        if head is None and (stored or any(chain.seen_to for chain in there.values())):
            newest = max({*there, *(row.chain for row in stored)})
            found.add("head", newest, 0, "the store does not know any more where the log ends")
        if self._keys and found.entries and found.unkeyed == found.entries and not since:
            found.add("unkeyed", 0, 0, "no entry was made with a key, though keys are given")


def _tell_span(walk: ChainWalk, found: Verification) -> None:
    if walk.first is not None and walk.last is not None:
        found.spans.append(Span(walk.chain, walk.first.seq, walk.last.seq, walk.last.hash))


def _covered(rows: Sequence[StoredLine], first: int, last: int) -> bool:
    """Tell whether the session store has these entries still: a leader is about to sign."""
    return bool(rows) and rows[0].seq <= first and rows[-1].seq >= last


def _total(there: dict[int, Archived], stored: Sequence[StoredLine]) -> int:
    volumes = [volume for chain in there.values() for volume in chain.volumes]
    return sum(volume.last - volume.first + 1 for volume in volumes) + len(stored)
