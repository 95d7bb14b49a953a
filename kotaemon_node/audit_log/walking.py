"""Walks the entries of one chain in the order in which they lie, and names what does not fit.

A walk goes on behind each finding, by what the entries say of themselves: so one that was altered
is one finding, and not one more for all that follow.
"""

from collections.abc import Mapping, Sequence

from kotaemon_node.audit_log.findings import Kind, Verification, entries_text
from kotaemon_node.audit_log.heads import Seen
from kotaemon_node.domain.audit_chain import GENESIS, AuditKey, Entry, is_whole, read_line

_REMEMBERED = 20_000  # entries behind: two leaders' volumes overlap by less


class ChainWalk:
    """The state of a walk: what comes next, and what it has to follow."""

    def __init__(
        self,
        chain: int,
        *,
        found: Verification,
        keys: Sequence[AuditKey],
        anchors: Mapping[int, Sequence[Seen]],
        begins_behind: int = 0,
        before: str | None = GENESIS,
        keyed: bool = False,
    ) -> None:
        """``before``: the hash that the first entry has to hold; None: nobody knows.

        ``keyed``: an older chain of the log has entries made with a key; see ``keyed``.
        """
        self.chain = chain
        self.last: Entry | None = None
        self.first: Entry | None = None
        self.begins_behind = begins_behind
        self.next = begins_behind + 1
        self.keyed = keyed
        """Whether a key was used: whoever had one never writes without it again."""
        self._found = found
        self._keys = keys
        self._anchors = anchors
        self._before = before
        self._gaps: list[tuple[int, int]] = []
        self._recent: dict[int, str] = {}
        self._strange_keys: set[str] = set()
        self._overlaps = False

    def begin_source(self) -> None:
        """Say that other lines follow, which may begin with entries that were there already."""
        self._overlaps = True

    def take(self, line: bytes, *, place: int = 0) -> None:
        """Look at the next line; ``place``: which entry it is by where it lies, 0: the next one."""
        place = place or self.next
        try:
            entry = read_line(line)
        except ValueError:
            self._foreign(place, "is not as it was written: it cannot be read")
            return
        whole = self._is_whole(entry)
        if not whole and entry.seq not in {place, self.next}:
            self._foreign(place, "is not as it was written")  # nor is the number that it says
        elif entry.chain != self.chain:
            self._foreign(place, "is an entry of another chain")
        elif entry.event.tenant != self._found.tenant:
            self._foreign(place, "is an entry of another tenant's log")
        elif entry.seq < self.next:
            self._seen_before(entry)
        else:
            self._go_on(entry, whole=whole)

    def finish(self) -> None:
        """Name what did not turn up anywhere."""
        for first, last in self._gaps:
            self._add(
                "missing", first, f"{entries_text(first, last)} missing{self._between(first)}"
            )

    def _go_on(self, entry: Entry, *, whole: bool) -> None:
        """Take an entry that is new here: the next one, or one behind a gap."""
        self._overlaps = False
        if entry.seq > self.next:
            self._gaps.append((self.next, entry.seq - 1))
            self._before = None
        if not whole:
            self._add("altered", entry.seq, f"entry {entry.seq} is not as it was written")
        elif self._before is not None and entry.before != self._before:
            self._add("unlinked", entry.seq, _unlinked(entry.seq))
        self._check_key(entry)
        for seen in self._anchors.get(entry.seq, ()):
            if seen.hash != entry.hash:
                text = f"entry {entry.seq} is not the one {seen.by}"
                self._add("anchor", entry.seq, text)
        # What follows holds the hash of the entry as it was: of an altered one nobody knows that.
        self._before = entry.hash if whole else None
        self._note(entry)
        self.next = entry.seq + 1

    def _is_whole(self, entry: Entry) -> bool:
        try:
            return is_whole(entry, self._keys)
        except LookupError:
            if entry.key not in self._strange_keys:
                self._strange_keys.add(entry.key)
                text = f"entry {entry.seq} was made with key {entry.key}, which is not given"
                self._add("unknown_key", entry.seq, text)
            return True

    def _check_key(self, entry: Entry) -> None:
        if entry.key:
            self.keyed = True
        elif self.keyed:
            self._add("unkeyed", entry.seq, f"entry {entry.seq} was made without a key")
        else:
            self._found.unkeyed += 1

    def _note(self, entry: Entry) -> None:
        self.first = self.first or entry
        self.last = entry
        self._recent[entry.seq] = entry.hash
        self._recent.pop(entry.seq - _REMEMBERED, None)
        self._found.entries += 1
        self._found.first_at = self._found.first_at or entry.at
        self._found.last_at = entry.at
        if entry.event.action == "audit.set_back":
            seen = number_of(entry.event.detail.get("seen_seq"))
            text = f"entry {entry.seq} says that the log had been cut off: it went to entry {seen}"
            self._add("set_back", entry.seq, text)

    def _seen_before(self, entry: Entry) -> None:
        known = self._recent.get(entry.seq)
        if self._overlaps and known == entry.hash:
            return  # moved, and not removed yet
        for at, (first, last) in enumerate(self._gaps):
            if first <= entry.seq <= last:
                rest = [(first, entry.seq - 1), (entry.seq + 1, last)]
                self._gaps[at : at + 1] = [gap for gap in rest if gap[0] <= gap[1]]
                self._add("moved", entry.seq, f"entry {entry.seq} stands behind a later one")
                self._recent[entry.seq] = entry.hash
                return
        if known is None or known == entry.hash:
            self._add("twice", entry.seq, f"entry {entry.seq} is there more than once")
        else:
            text = f"entry {entry.seq} is there in two versions that contradict each other"
            self._add("altered", entry.seq, text)

    def _foreign(self, place: int, what: str) -> None:
        """Name a line of which nothing is known but its place, and go on behind it."""
        self._add("altered", place, f"entry {place} {what}")
        if place > self.next:
            self._gaps.append((self.next, place - 1))
        if place >= self.next:
            self.next, self._before = place + 1, None

    def _between(self, first: int) -> str:
        return " at the beginning" if first == 1 else f" behind entry {first - 1}"

    def _add(self, kind: Kind, seq: int, text: str) -> None:
        self._found.add(kind, self.chain, seq, text)


def number_of(said: object) -> str:
    """Return the number that an entry tells, as text: whoever made it may have told anything."""
    return str(said) if isinstance(said, int) else "?"


def _unlinked(seq: int) -> str:
    if seq == 1:
        return "entry 1 is not the beginning of a log"
    return f"entry {seq} does not follow entry {seq - 1}, which was replaced"
