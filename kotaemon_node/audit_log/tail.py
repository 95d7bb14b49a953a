"""The end of one tenant's log as a process knows it, and how a batch is put behind it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from kotaemon_node.audit_log.shown_lines import show_head
from kotaemon_node.domain import audit_limits as limits
from kotaemon_node.domain.audit import AuditEvent, AuditOutcome, Detail
from kotaemon_node.domain.audit_chain import BEGUN, AuditKey, Head, line_of
from kotaemon_node.ports.audit import Appended, AuditStore

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Noted:
    """An event, its id, and when it was recorded by this process's clock (``monotonic_s``)."""

    event: AuditEvent
    id: str
    at_s: float


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch as it was sent; the store may have it."""

    ids: tuple[str, ...]
    behind: Head | None
    head: Head
    lines: Sequence[bytes]


class Tail:
    """Not thread safe: its owner locks."""

    def __init__(
        self,
        tenant: str,
        store: AuditStore,
        *,
        lines: bool = True,
        set_back: Callable[[], None] = lambda: None,
    ) -> None:
        """``lines``: whether the process's log says how far the audit log goes.

        ``set_back`` is told when the log is less than was seen of it.
        """
        self.tenant = tenant
        self._store = store
        self._lines = lines
        self._set_back = set_back
        self._head: Head | None = None
        self._seen: Head | None = None
        """The newest entry that the store has told of: it may never have less."""
        self._sent: _Sent | None = None
        self._clocks: tuple[int, float] | None = None
        """The store's clock (ms) and ours (s) at one moment."""
        self._extra: list[AuditEvent] = []
        """What is to be said of the log itself before anything else."""
        self._begins = 0
        """The number of the chain that is to be begun; 0: none is."""

    def write(
        self, batch: Sequence[Noted], *, key: AuditKey | None, now_s: Callable[[], float]
    ) -> int:
        """Append the batch; return how many of it, from its first on, are in the log now.

        ``now_s``: the clock by which the batch was recorded.

        Fewer where an earlier write was in doubt; 0: it has to wait. ``StoreUnavailable``: nobody
        knows, and the next batch must begin with the same.
        """
        if self._clocks is None:
            found, now_ms = self._store.head(self.tenant)
            self._learn(found)
            self._clocks = (now_ms, now_s())
            self._begins = 0 if found else now_ms
        for _ in range(limits.AUDIT_TRIES_MAX):
            sent = self._formed(batch, key, now_s())
            reply = self._store.append(self.tenant, sent.lines, behind=sent.behind, head=sent.head)
            # Ours is looked at behind the reply: no entry comes to lie in the future.
            self._clocks = (reply.now_ms, now_s())
            match reply.outcome:
                case "kept":
                    self._kept(sent, reply)
                    return len(sent.ids)
                case "full":
                    self._sent = None
                    _log.error("audit_full", tenant=self.tenant)
                    return 0
                case "behind" | "torn":
                    self._sent = None
                    self._look(reply)
        return 0

    def _formed(self, batch: Sequence[Noted], key: AuditKey | None, now_s: float) -> _Sent:
        """Return the batch as lines behind the head; the same as before where nobody replied."""
        ids = tuple(one.id for one in batch)
        # More may wait by now; what was sent must come first, and alone.
        if (sent := self._sent) is not None and ids[: len(sent.ids)] == sent.ids:
            return sent
        behind = self._head
        head = Head.beginning(self._begins) if self._begins or behind is None else behind
        lines: list[bytes] = []
        for event, entry_id, at_ms in self._told(batch, now_s):
            line, head = line_of(event, behind=head, at_ms=at_ms, entry_id=entry_id, key=key)
            lines.append(line)
        self._sent = _Sent(ids, behind, head, lines)
        return self._sent

    def _told(self, batch: Sequence[Noted], now_s: float) -> Sequence[tuple[AuditEvent, str, int]]:
        """Return events, ids and times: what is said of the log itself comes first."""
        own = list(self._extra)
        if self._begins:
            before = _place(self._seen, "before") if self._seen else {}
            own.insert(0, _of_log(BEGUN, self.tenant, before))
        now_ms = self._by_store(now_s)
        rows = [(event, f"{batch[0].id}.{at}", now_ms) for at, event in enumerate(own)]
        return rows + [(one.event, one.id, self._by_store(one.at_s)) for one in batch]

    def _by_store(self, at_s: float) -> int:
        """Return a moment of our clock by the store's (ms); before or after both were seen."""
        assert self._clocks is not None
        store_ms, our_s = self._clocks
        return store_ms + round((at_s - our_s) * 1000)

    def _kept(self, sent: _Sent, reply: Appended) -> None:
        self._sent, self._extra, self._begins = None, [], 0
        # Others may have written behind it by the time that a repeat was answered.
        self._head = self._seen = reply.head if reply.head else sent.head
        if self._lines:
            show_head(self.tenant, sent.head, len(sent.lines))

    def _look(self, reply: Appended) -> None:
        """Take up what the store has, before the next try."""
        self._learn(reply.head)
        if reply.head is None or reply.outcome == "torn":
            known = reply.head.chain if reply.head else 0
            self._begins = max(reply.now_ms, reply.newest_chain + 1, known + 1)
        else:
            self._begins = 0

    def _learn(self, found: Head | None) -> None:
        """Go by this head; where it is less than what was seen, say so in the log."""
        seen = self._seen
        self._head = found
        if seen is not None and (
            found is None or found.chain != seen.chain or found.seq < seen.seq
        ):
            _log.error(
                "audit_set_back", tenant=self.tenant, seen=seen.seq, found=found and found.seq
            )
            self._set_back()
            told = {**_place(seen, "seen"), **_place(found, "found")}
            self._extra.append(_of_log("audit.set_back", self.tenant, told, failed=True))
            self._seen = found
        elif found is not None:
            self._seen = found


def _of_log(
    action: str, tenant: str, detail: dict[str, Detail], *, failed: bool = False
) -> AuditEvent:
    outcome: AuditOutcome = "failed" if failed else "done"
    return AuditEvent(action, outcome, tenant, role="system", detail=detail)


def _place(head: Head | None, name: str) -> dict[str, Detail]:
    if head is None:
        return {f"{name}_chain": "", f"{name}_seq": 0}
    return {f"{name}_chain": str(head.chain), f"{name}_seq": head.seq, f"{name}_hash": head.hash}
