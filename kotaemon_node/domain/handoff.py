"""A handoff: from here on a person has the session, until it is handed back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self

By = Literal["customer", "agent", "words", "tool"]
"""Who wanted it: the customer by a route, an agent, the words of a message, a tool's answer."""

BEGUN: Final = "handoff"
ENDED: Final = "handback"
"""Events of a session's history."""

BY: Final[tuple[By, ...]] = ("customer", "agent", "words", "tool")


@dataclass(frozen=True, slots=True)
class Handoff:
    """Since when (seconds since 1970) a person has the session, for what reason, by whom."""

    since: float
    reason: str
    by: By

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Any) -> Self | None:
        """Read ``to_json`` back; None where nothing is said.

        A newer program may say more, or name another ``by``: the session is with a person all the
        same.
        """
        if not isinstance(fields, Mapping) or not fields:
            return None
        by: Any = fields.get("by")
        since = fields.get("since")
        return cls(
            since=float(since) if isinstance(since, int | float) else 0.0,
            reason=str(fields.get("reason") or ""),
            by=by if by in BY else "agent",
        )

    def frame(self) -> dict[str, Any]:
        """Return the fields of the frame that tells of it."""
        return {"active": True, **self.to_json()}


def handback_frame(*, at: float, by: By) -> dict[str, Any]:
    """Return the fields of the frame that tells of its end."""
    return {"active": False, "since": at, "reason": "", "by": by}
