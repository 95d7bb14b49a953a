"""What the audit log keeps of an act: who did what to whose, and with what outcome.

No entry holds a message, an answer, a document's text or a secret: the log is kept longer than
those, and read by others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

AuditOutcome = Literal["done", "refused", "failed"]


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
    detail: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """What else one must know to judge it: small values, by name."""
