"""The leader's side of the audit log: anchors, volumes, and what is retired.

Law 1: entries leave the session store only after their volume and its note were written. A crash
       between any two steps leaves the same entries twice, never not at all.
Law 2: nothing is judged here. What somebody broke is moved as it is, and ``kotaemon audit verify``
       names it: a mover that stopped at it would let the store run full.
Law 3: a volume is removed only when its time is over, the oldest first, and behind a signed note.
Law 4: what is wrong with one tenant's log keeps nobody from the others'.
"""

import random
import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from kotaemon_node.audit_log.notes import Note, read_note
from kotaemon_node.audit_log.volumes import noted
from kotaemon_node.domain import audit_limits as limits
from kotaemon_node.domain.audit import AuditEvent, AuditOutcome
from kotaemon_node.domain.audit_chain import Head, read_line, written_time
from kotaemon_node.domain.audit_names import (
    PREFIX,
    NoteKind,
    audit_prefix,
    chain_of,
    kind_of_note,
    tenant_of,
    volume_name,
)
from kotaemon_node.domain.errors import CorruptArtifact, StoreUnavailable, Unavailable
from kotaemon_node.domain.ids import is_id
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.audit import AuditLog, AuditStore, StoredLine
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.signing import Signer, Verifier

_log = structlog.get_logger(__name__)
_MOVED: Final[Sequence[NoteKind]] = ("volume", "retired")


class MovingCounts(Protocol):
    """Told how the moving goes; never raises."""

    def audit_set_back(self) -> None:
        """A log was less than had been seen of it."""
        ...

    def audit_unswept(self, since_s: float) -> None:
        """So long ago, while we lead, every log was treated without a fault."""
        ...


class AuditMoving:
    """Moves and anchors while this coordinator leads. ``run`` blocks."""

    def __init__(
        self,
        store: AuditStore,
        artifacts: ArtifactStore,
        *,
        signer: Signer,
        verifier: Verifier,
        log: AuditLog,
        leads: Callable[[], bool],
        clock: Clock,
        counts: MovingCounts,
        kept_s: float,
        stored_kept: int = limits.AUDIT_STORED_KEPT,
        moved_after_s: float = limits.AUDIT_MOVED_AFTER_S,
    ) -> None:
        """``kept_s``: for how long entries are kept; 0: for ever."""
        self._store = store
        self._artifacts = artifacts
        self._signer = signer
        self._verifier = verifier
        self._audit = log
        self._leads = leads
        self._clock = clock
        self._counts = counts
        self._kept_s = kept_s
        self._stored_kept = stored_kept
        self._moved_after_s = moved_after_s
        self._stop = threading.Event()
        self._anchored: dict[str, tuple[Head | None, float]] = {}
        """What was anchored last, and when by our clock."""
        self._archived: set[str] = set()
        """Tenants of whose logs there was something in the artifact store."""
        self._retired_s = 0.0
        self._whole_s: float | None = None
        """When a sweep treated every log; at first, since when we lead."""

    def run(self) -> None:
        """Work until ``stop``."""
        while not self._stop.wait(limits.AUDIT_SWEEP_S * (0.5 + random.random())):
            if not self._leads():
                self._anchored.clear()
                self._whole_s = None
                self._counts.audit_unswept(0.0)
                continue
            try:
                self.sweep()
            except (Unavailable, OSError) as error:
                _log.warning("audit_not_moved", error=str(error))
            except Exception:  # noqa: BLE001 - whoever moves no more lets the store run full
                _log.exception("audit_moving_broken")

    def stop(self) -> None:
        """Make ``run`` return."""
        self._stop.set()

    def sweep(self) -> None:
        """Treat each tenant's log once. ``StoreUnavailable``: the session store is away."""
        now_s = self._clock.monotonic_s()
        if self._whole_s is None:
            self._whole_s = now_s
        retires = not self._retired_s or now_s - self._retired_s >= limits.AUDIT_RETIRE_S
        tenants, whole = self._tenants(anew=retires), True
        random.shuffle(tenants)  # whoever is the last to fail, the others have their turn
        for tenant in tenants:
            self._show_age()
            if self._stop.is_set() or not self._leads():
                return
            whole = self._treat(tenant, retires=retires) and whole
        if whole:
            self._whole_s = now_s
        if retires:
            self._retired_s = now_s
        self._show_age()

    def _tenants(self, *, anew: bool) -> list[str]:
        """Return whose logs there are, also those that somebody took out of the list of them.

        ``anew``: look through the artifact store for such, too.
        """
        listed = set(self._store.tenants())
        if anew:
            self._archived = {tenant_of(name) for name in self._artifacts.list(PREFIX)}
        others = {one for one in {*self._anchored, *self._archived} - listed if is_id(one)}
        return [*listed, *(one for one in others if self._store.head(one)[0] is not None)]

    def _treat(self, tenant: str, *, retires: bool) -> bool:
        """Anchor, move and retire; False where that failed."""
        try:
            self.anchor(tenant)
            while self.move(tenant) and not self._stop.is_set():
                pass
            if retires:
                self.retire(tenant)
        except StoreUnavailable:
            self._show_age()
            raise
        except (Unavailable, OSError) as error:
            _log.warning("audit_not_moved", tenant=tenant, error=str(error))
            return False
        except Exception:  # noqa: BLE001 - one log that somebody broke must not stop the others
            _log.exception("audit_moving_broken", tenant=tenant)
            return False
        return True

    def _show_age(self) -> None:
        now_s = self._clock.monotonic_s()
        self._counts.audit_unswept(now_s - (now_s if self._whole_s is None else self._whole_s))

    def anchor(self, tenant: str) -> None:
        """Sign up to where the log goes, once a minute at most; say aloud where it went back."""
        head, now_ms = self._store.head(tenant)
        our_s = self._clock.monotonic_s()
        if tenant not in self._anchored:
            self._anchored[tenant] = (self._signed(tenant), our_s - limits.AUDIT_ANCHOR_S)
        before, since_s = self._anchored[tenant]
        if head == before:
            return
        if before is not None and _went_back(before, head):
            found = head.seq if head else 0
            self._counts.audit_set_back()
            self._say(tenant, "audit.set_back", seen_seq=before.seq, found_seq=found)
            _log.error("audit_set_back", tenant=tenant, seen=before.seq, found=found)
        elif our_s - since_s < limits.AUDIT_ANCHOR_S:
            return
        if head is not None:
            at = written_time(now_ms)
            note = Note("anchor", tenant, head.chain, head.seq, head.seq, head.hash, at)
            self._artifacts.put_if_absent(note.name, note.signed(self._signer))
        self._anchored[tenant] = (head, our_s)

    def move(self, tenant: str) -> bool:
        """Move the oldest entries, if they are to be; return whether there may be more of those.

        Either so many are here that a whole volume of them is over, or the oldest is too old: then
        all go, so that a log with little in it makes a volume an hour, and not one an entry.
        """
        size = self._store.size(tenant)
        first = self._store.oldest(tenant, behind=(0, 0), limit=1)
        if not first:
            return False
        _, now_ms = self._store.head(tenant)
        old = written_time(now_ms - int(self._moved_after_s * 1000))
        full = size - self._stored_kept >= limits.AUDIT_VOLUME_ENTRIES_MAX
        if not full and _time_of(first[0]) >= old:
            return False
        # Most often nothing is to be done: only now so many are read.
        rows = self._store.oldest(tenant, behind=(0, 0), limit=limits.AUDIT_VOLUME_ENTRIES_MAX)
        wanted = _of_one_chain(rows)
        name, content, note = noted(tenant, wanted, made_at=written_time(now_ms))
        self._artifacts.put_if_absent(name, content)
        self._artifacts.put_if_absent(note.name, note.signed(self._signer))
        self._store.trim(tenant, through=(note.chain, note.last))
        self._drop_anchors(tenant, note)
        _log.info("audit_moved", tenant=tenant, first=note.first, last=note.last)
        return True

    def retire(self, tenant: str) -> None:
        """Remove the volumes of which all was made, and moved, longer ago than entries are kept."""
        if not self._kept_s:
            return
        _, now_ms = self._store.head(tenant)
        end = written_time(now_ms - int(self._kept_s * 1000))
        for chain in self._chains(tenant):
            over: list[Note] = []
            for note in self._notes(tenant, chain, "volume"):
                # An entry says itself when it was made, and may lie; when it was moved, we know.
                if max(note.to_at, note.made_at) >= end:
                    break
                over.append(note)
            if over:
                self._remove(tenant, over, written_time(now_ms))

    def _remove(self, tenant: str, over: Sequence[Note], made_at: str) -> None:
        last = over[-1]
        retired = Note("retired", tenant, last.chain, last.last, last.last, last.hash, made_at)
        older = list(self._notes(tenant, last.chain, "retired"))
        self._artifacts.put_if_absent(retired.name, retired.signed(self._signer))
        for note in over:
            self._artifacts.delete(
                volume_name(tenant, note.chain, note.first, note.last, note.sha256)
            )
            self._artifacts.delete(note.name)
        for note in older:
            if note.last < last.last:
                self._artifacts.delete(note.name)
        for note in self._notes(tenant, last.chain, "anchor"):
            if note.last <= last.last:
                self._artifacts.delete(note.name)
        entries = sum(note.last - note.first + 1 for note in over)
        self._say(tenant, "audit.retired", chain=str(last.chain), through=last.last, count=entries)

    def _drop_anchors(self, tenant: str, volume: Note) -> None:
        """Remove what the volume's own note says by now.

        Where older ones say more, the log was set back: that somebody noticed, the newest tells.
        """
        anchors = self._notes(tenant, volume.chain, "anchor")
        newest = max(anchors, key=lambda note: note.made_at, default=None)
        told = newest if any(note.last > volume.last for note in anchors) else None
        for note in anchors:
            if note.last <= volume.last and note is not told:
                self._artifacts.delete(note.name)

    def _signed(self, tenant: str) -> Head | None:
        """Return the newest entry that any leader has signed for.

        Anchors of before a log was set back say more than there can be, and stay, as proof; what
        was signed since the newest one was made counts.
        """
        for chain in reversed(self._chains(tenant)):
            anchors = self._notes(tenant, chain, "anchor")
            notes = [note for kind in _MOVED for note in self._notes(tenant, chain, kind)]
            if anchors:
                anchor = max(anchors, key=lambda note: (note.made_at, note.last))
                notes = [note for note in notes if note.made_at >= anchor.made_at] + [anchor]
            if notes:
                newest = max(notes, key=lambda note: note.last)
                return Head(newest.chain, newest.last, newest.hash)
        return None

    def _chains(self, tenant: str) -> Sequence[int]:
        numbers = {chain_of(name) for name in self._artifacts.list(audit_prefix(tenant))}
        return sorted(numbers - {0})

    def _notes(self, tenant: str, chain: int, kind: NoteKind) -> Sequence[Note]:
        """Return the notes of a chain that we, or one whom we trust, signed; in order."""
        found: list[Note] = []
        for name in list(self._artifacts.list(audit_prefix(tenant, kind, chain=chain))):
            if kind_of_note(name) != kind:
                continue
            raw = self._artifacts.get(name)
            try:
                found += [read_note(raw, self._verifier, name=name)] if raw is not None else []
            except CorruptArtifact as error:
                # It stays, for the verifier to name it; nothing is done because of it.
                _log.error("audit_note_refused", name=name, reason=str(error))
        return sorted(found, key=lambda note: (note.first, note.last))

    def _say(self, tenant: str, action: str, **detail: str | int) -> None:
        outcome: AuditOutcome = "failed" if action == "audit.set_back" else "done"
        self._audit.record(AuditEvent(action, outcome, tenant, role="system", detail=detail))


def _went_back(before: Head, now: Head | None) -> bool:
    return (
        now is None
        or now.chain < before.chain
        or (now.chain == before.chain and now.seq < before.seq)
    )


def _of_one_chain(rows: Sequence[StoredLine]) -> Sequence[StoredLine]:
    """Return the rows up to where another chain begins."""
    return [row for row in rows if row.chain == rows[0].chain]


def _time_of(row: StoredLine) -> str:
    """Return the time of an entry; one that cannot be read is as old as can be."""
    try:
        return read_line(row.line).at
    except ValueError:
        return ""
