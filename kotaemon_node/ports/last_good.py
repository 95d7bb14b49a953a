"""The last good result of calls that only read, for when their tool is not asked."""

from dataclasses import dataclass
from typing import Protocol

from kotaemon_node.ports.plugins import Caller


@dataclass(frozen=True, slots=True)
class LastGood:
    """What a tool answered once."""

    told: str
    """JSON."""
    age_s: float
    """By the store's clock."""


class LastGoodResults(Protocol):
    """Kept for ``LAST_GOOD_KEPT_S``, for one user, tool and arguments; may be lost at any time.

    Thread safe. Who has no ``user_id`` has results of its own session alone. Each may raise
    ``StoreUnavailable``.
    """

    def keep(self, caller: Caller, name: str, arguments: str, told: str) -> None:
        """Keep ``told`` (JSON) in place of what was kept of the same call; ``arguments``: JSON."""
        ...

    def find(self, caller: Caller, name: str, arguments: str) -> LastGood | None:
        """Return what was kept, if it is still there."""
        ...
