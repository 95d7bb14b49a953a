"""Verifies lines that ``kotaemon audit export`` printed, where neither store is at hand.

Each line has the hash of the one before it, so what lies between the first and the last is proved
by the lines alone. Where the log began before the first, or went on behind the last, only somebody
else can know: the spans are told, and lines ``audit_head`` of processes' logs are compared.
"""

from collections.abc import Iterable, Mapping, Sequence

from kotaemon_node.audit_log.beginnings import compare_beginning
from kotaemon_node.audit_log.findings import Span, Verification, entries_text
from kotaemon_node.audit_log.heads import SeenByChain
from kotaemon_node.audit_log.walking import ChainWalk
from kotaemon_node.domain.audit_chain import GENESIS, AuditKey, Entry, is_whole, read_line
from kotaemon_node.domain.ids import is_id

_NOBODYS = "?"
"""Whose log a line is that cannot be read, where nothing before it says so."""


class ExportedLines:
    """Takes lines in their order, of whichever tenants; then tells what was found."""

    def __init__(
        self, *, keys: Sequence[AuditKey], heads: Mapping[str, SeenByChain] | None = None
    ) -> None:
        """``keys``: newest first, as ``AUDIT_KEY_FILE`` has them; none: of a log without."""
        self._keys = keys
        self._heads = heads or {}
        self._found: dict[str, Verification] = {}
        self._walks: dict[str, dict[int, ChainWalk]] = {}
        self._current: ChainWalk | None = None

    def take_all(self, lines: Iterable[bytes]) -> Sequence[Verification]:
        """Look at all lines and return what was found, by tenant in the order of the lines."""
        for line in lines:
            if stripped := line.strip():
                self.take(stripped)
        return self.finish()

    def take(self, line: bytes) -> None:
        """Look at the next line."""
        entry = self._entry(line)
        if entry is not None:
            self._current = self._walk_of(entry)
        elif self._current is None:
            self._nobodys().add("altered", 0, 0, "a line before all others cannot be read")
            return
        self._current.take(line)

    def finish(self) -> Sequence[Verification]:
        """Name what did not turn up, compare ends and beginnings, and return all."""
        for tenant, walks in self._walks.items():
            self._compare_ends(tenant, walks)
            before: ChainWalk | None = None
            for number in sorted(walks):
                walk = walks[number]
                walk.finish()
                if before is not None and walk.begins_behind:
                    self._tell_cut(tenant, walk)
                # An export may begin anywhere: nobody can say here that something was before it.
                if before is not None:
                    compare_beginning(
                        before, walk, self._verification(tenant), excused=(), since=""
                    )
                before = walk
                self._tell_span(tenant, walk)
            if self._keys:
                self._verification(tenant).tell_unkeyed()
        return list(self._found.values())

    def _entry(self, line: bytes) -> Entry | None:
        """Return what a line says it is; None where that says nothing about its place.

        A line that was altered begins no log: it is one of those between which it stands.
        """
        try:
            entry = read_line(line)
        except ValueError:
            return None
        if not is_id(entry.event.tenant):
            return None
        known = entry.chain in self._walks.get(entry.event.tenant, {})
        return entry if known or self._current is None or self._is_whole(entry) else None

    def _is_whole(self, entry: Entry) -> bool:
        try:
            return is_whole(entry, self._keys)
        except LookupError:
            return True  # the walk names the key

    def _walk_of(self, entry: Entry) -> ChainWalk:
        tenant = entry.event.tenant
        walks = self._walks.setdefault(tenant, {})
        walk = walks.get(entry.chain)
        if walk is None:
            found = self._verification(tenant)
            found.chains += 1
            # The first chain may have been exported from any entry on; those behind it, whole. At
            # the end it is known whether the first line was of the first chain: ``_tell_cut``.
            begins_behind = 0 if walks else entry.seq - 1
            walk = walks[entry.chain] = ChainWalk(
                entry.chain,
                found=found,
                keys=self._keys,
                anchors=self._heads.get(tenant, {}).get(entry.chain, {}),
                begins_behind=begins_behind,
                before=None if begins_behind else GENESIS,
                keyed=any(one.keyed for one in walks.values()),
            )
        if walk is not self._current and entry.chain < max(walks) and self._is_whole(entry):
            text = f"entry {entry.seq} stands behind one of a later chain"
            self._verification(tenant).add("moved", entry.chain, entry.seq, text)
        return walk

    def _tell_cut(self, tenant: str, walk: ChainWalk) -> None:
        """Name the beginning of a chain that is not there, though an older chain is."""
        text = f"{entries_text(1, walk.begins_behind)} missing at the beginning"
        self._verification(tenant).add("missing", walk.chain, 1, text)

    def _compare_ends(self, tenant: str, walks: Mapping[int, ChainWalk]) -> None:
        """Compare with what processes saw behind the first line; what was before, nobody wanted."""
        for chain, seen in self._heads.get(tenant, {}).items():
            walk, newest = walks.get(chain), max(seen)
            last = walk.next - 1 if walk else 0
            if chain >= min(walks) and newest > last:
                text = f"the lines end with entry {last}, and the log went to entry {newest}"
                self._verification(tenant).add(
                    "truncated", chain, last + 1, f"{text} ({seen[newest][0].by})"
                )

    def _tell_span(self, tenant: str, walk: ChainWalk) -> None:
        if walk.first is not None and walk.last is not None:
            span = Span(walk.chain, walk.first.seq, walk.last.seq, walk.last.hash)
            self._verification(tenant).spans.append(span)

    def _nobodys(self) -> Verification:
        return self._verification(_NOBODYS)

    def _verification(self, tenant: str) -> Verification:
        return self._found.setdefault(tenant, Verification(tenant))
