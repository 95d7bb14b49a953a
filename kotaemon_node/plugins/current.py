"""The call that runs in this process: there is one at a time, whatever threads a plugin starts."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """For whom a plugin is called. It comes from the session, never from a message."""

    session_id: str = ""
    user_id: str | None = None
    idempotency_key: str = ""
    user_input: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    slots: Mapping[str, Any] = field(default_factory=dict)
    repeatable: bool = False
    """Whether a request that changes something may be sent again under the same key."""
    ends_s: float = 0.0
    """When its time is over, by ``time.monotonic``; 0: nobody said."""

    def left_s(self) -> float:
        """Return how much of its time is left, 10 s where nobody said."""
        return max(0.05, self.ends_s - time.monotonic()) if self.ends_s else 10.0


_NONE = Call()
_running = [_NONE]


def current_call() -> Call:
    """Return the running call; one without a session while there is none."""
    return _running[0]


def begin_call(call: Call | None) -> None:
    """Say which call runs now; None: none does."""
    _running[0] = call or _NONE
