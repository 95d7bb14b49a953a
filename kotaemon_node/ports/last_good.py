"""The last good result of calls that only read, for when their tool is not asked."""

from dataclasses import dataclass
from typing import Protocol

from kotaemon_node.ports.tools import Caller


@dataclass(frozen=True, slots=True)
class LastGood:
    """What a tool answered once."""

    told: str
    """JSON."""
    age_s: float
    """By the store's clock."""


class LastGoodResults(Protocol):
    """Kept for ``LAST_GOOD_KEPT_S``, for one user, tool and what it was asked; may be lost at any
    time.

    ``asked``: JSON of all that the answer follows from, the arguments, slots and context. Thread
    safe. Who has no ``user_id`` has results of its own session alone. Each may raise
    ``StoreUnavailable``.
    """

    def keep(self, caller: Caller, name: str, asked: str, told: str) -> None:
        """Keep ``told`` (JSON) in place of what was kept of the same call."""
        ...

    def find(self, caller: Caller, name: str, asked: str) -> LastGood | None:
        """Return what was kept, if it is still there."""
        ...
