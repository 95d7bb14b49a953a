"""The right to publish: one coordinator at a time has it, for a few seconds, again and again.

The lease ends here before it ends in the store, because it is counted from before the question was
asked. Should two leaders overlap all the same, a manifest's number is given to one of them only.
"""

import threading

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.ports.knowledge import Leadership
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_RENEWALS_PER_TTL = 3


class Stopping(Exception):
    """The process was told to end."""


class LeadLost(Exception):
    """Another coordinator leads, or nobody can tell; what is being built must not be published."""


class Lease:
    """This process's hold on the lead. Thread safe."""

    def __init__(self, leadership: Leadership, *, clock: Clock, holder: str) -> None:
        self._leadership = leadership
        self._clock = clock
        self._holder = holder
        self._lock = threading.Lock()
        self._fence: int | None = None
        self._until_s = 0.0
        self._answered = False

    @property
    def fence(self) -> int | None:
        """The number of this lead, or None while another leads or the lease ran out."""
        with self._lock:
            return self._fence if self._clock.monotonic_s() < self._until_s else None

    @property
    def answered(self) -> bool:
        """True when the store that decides answered the last question."""
        return self._answered

    def require(self, fence: int) -> None:
        """Make sure, by asking, that the lead called ``fence`` still stands, else ``LeadLost``."""
        self.renew()
        if self.fence != fence:
            raise LeadLost(f"lead {fence} has ended")

    def renew(self) -> None:
        """Take the lead or keep it."""
        asked_s = self._clock.monotonic_s()
        try:
            fence = self._leadership.acquire(self._holder, ttl_s=limits.LEADER_TTL_S)
        except NodeError as error:
            # The lease runs on: nobody else can take it as long as the store remembers it.
            self._note_answer(answered=False, error=str(error))
            return
        self._note_answer(answered=True)
        with self._lock:
            changed = fence != self._fence
            self._fence = fence
            self._until_s = asked_s + limits.LEADER_TTL_S if fence is not None else 0.0
        if changed:
            _log.info("lead_taken" if fence is not None else "standing_by", fence=fence)

    def keep(self, stop: threading.Event) -> None:
        """Take or keep the lead until ``stop``, then give it up: a standby need not wait."""
        while not stop.is_set():
            self.renew()
            stop.wait(limits.LEADER_TTL_S / _RENEWALS_PER_TTL)
        self.resign()

    def resign(self) -> None:
        """Give the lead up."""
        with self._lock:
            self._fence, self._until_s = None, 0.0
        try:
            self._leadership.release(self._holder)
        except NodeError as error:
            _log.warning("lead_not_given_up", error=str(error), ends_in_s=limits.LEADER_TTL_S)

    def _note_answer(self, *, answered: bool, error: str = "") -> None:
        if self._answered and not answered:
            _log.warning("leadership_unknown", error=error)
        self._answered = answered
