"""What the audit log keeps of an act: who did what to whose, and with what outcome.

No entry holds a message, an answer, a document's text or a secret: the log is kept longer than
those, and read by others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from kotaemon_node.domain import audit_limits as limits

AuditOutcome = Literal["done", "refused", "failed"]
Detail = str | int | float | bool


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One act, before it has a place in the log."""

    action: str
    """What was done, ``thing.verb``: ``key.created``, ``session.refused``; docs/reference/audit.md
    lists them."""
    outcome: AuditOutcome
    tenant: str
    """Whose log it stands in: the caller's; ``default`` where nobody knows whose."""
    subject: str = ""
    """Who did it; empty: nobody whom the cluster knows."""
    role: str = ""
    credential: str = ""
    """Names the key or the issuer by which they came; never a secret."""
    target: str = ""
    """What it was done to: the id of a session, a document's name, a plugin's."""
    address: str = ""
    """Where the request came from, as the balancer told it."""
    trace_id: str = ""
    detail: Mapping[str, Detail] = field(default_factory=dict)
    """What else one must know to judge it: small values, by name."""

    def clipped(self) -> "AuditEvent":
        """Return the same with no text longer than an entry may have: callers choose some."""
        return replace(
            self,
            action=_clipped(self.action),
            subject=_clipped(self.subject),
            role=_clipped(self.role),
            credential=_clipped(self.credential),
            target=_clipped(self.target),
            address=_clipped(self.address),
            trace_id=_clipped(self.trace_id),
            detail={
                _clipped(name): _clipped(value) if isinstance(value, str) else value
                for name, value in islice(self.detail.items(), limits.AUDIT_DETAILS_MAX)
            },
        )


def _clipped(text: str) -> str:
    """Return at most so many characters, a mark being the last; none that UTF-8 does not know."""
    if len(text) > limits.AUDIT_TEXT_CHARS_MAX:
        text = text[: limits.AUDIT_TEXT_CHARS_MAX - 1] + "…"
    return text.encode("utf-8", "replace").decode()
