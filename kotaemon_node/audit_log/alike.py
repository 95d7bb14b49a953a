"""Refusals that are alike count as one entry a minute: no flood of them floods the log.

So do reads, by what was read: who looks at a session looks often.

The first of a kind is told at once. Those that follow within the minute are told in one entry
behind it, with their number. So many kinds are told apart; beyond that a minute's refusals count
by action alone, whose number is ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kotaemon_node.domain import audit_limits as limits
from kotaemon_node.domain.audit import AuditEvent

_OTHERS = "(others)"
_READS = frozenset({"session.read", "session.listed", "trace.read", "audit.read"})

Kind = tuple[str, ...]


@dataclass(slots=True)
class _Seen:
    first: AuditEvent
    since_s: float
    more: int = 0


class Alike:
    """What was refused in the last minute. Not thread safe: its owner locks."""

    def __init__(self) -> None:
        self._seen: dict[Kind, _Seen] = {}

    def told(self, event: AuditEvent, *, now_s: float) -> AuditEvent | None:
        """Return what is to be told of the event now; None: it is counted, and told later."""
        if event.outcome != "refused" and event.action not in _READS:
            return event
        kind = _kind_of(event)
        if kind not in self._seen and len(self._seen) >= limits.AUDIT_ALIKE_MAX:
            event = replace(event, subject="", credential="", target="", address=_OTHERS, detail={})
            kind = _kind_of(event)
        seen = self._seen.get(kind)
        if seen is None:
            self._seen[kind] = _Seen(event, now_s)
            return event
        seen.more += 1
        return None

    def due(self, *, now_s: float) -> Sequence[AuditEvent]:
        """Return an entry for each kind whose minute is over and that came again, and forget it."""
        over = [
            kind
            for kind, seen in self._seen.items()
            if now_s - seen.since_s >= limits.AUDIT_ALIKE_S
        ]
        return list(self._summed(over))

    def all(self) -> Sequence[AuditEvent]:
        """The same for every kind, however new: the process ends."""
        return list(self._summed(list(self._seen)))

    def _summed(self, kinds: Sequence[Kind]) -> Iterator[AuditEvent]:
        for kind in kinds:
            seen = self._seen.pop(kind)
            if seen.more:
                # Targets and traces of the others were others: only what was alike is told.
                target = seen.first.target if seen.first.action in _READS else ""
                detail = {**_reason(seen.first), "count": seen.more}
                yield replace(seen.first, target=target, trace_id="", detail=detail)


def _kind_of(event: AuditEvent) -> Kind:
    reason = str(event.detail.get("reason", ""))
    what = event.target if event.action in _READS else reason
    who = (event.subject, event.credential, event.address)
    return (event.action, event.outcome, event.tenant, *who, what)


def _reason(event: AuditEvent) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in event.detail.items() if name == "reason"}
