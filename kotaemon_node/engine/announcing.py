"""Tells the other pods about committed turns: beside the turns, and again where that failed.

A turn stays in the index of running turns until its event was taken by the bus. So the index is the
outbox: what could not be sent, or died with its pod, is found there by the sweep.
"""

import json
from collections.abc import Sequence

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.events import SESSION_UPDATED
from kotaemon_node.domain.session import TurnKey
from kotaemon_node.ports.events import Bus, Message
from kotaemon_node.ports.runtime import Tasks
from kotaemon_node.ports.sessions import Committed, Orphan, SessionStore, Work
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)


class Announcer:
    """Sends ``session_updated``. Nothing here waits for the bus but tasks of its own."""

    def __init__(self, *, sessions: SessionStore, bus: Bus, tasks: Tasks, metrics: Metrics) -> None:
        self._sessions = sessions
        self._bus = bus
        self._tasks = tasks
        self._metrics = metrics
        self._sending = 0
        self._resending = False

    @property
    def sending(self) -> int:
        """How many events of turns that ended here are on their way."""
        return self._sending

    def announce(self, work: Work, committed: Committed) -> None:
        """Send the event of a turn, and then forget the turn. Returns at once."""
        lease = work.lease
        self._sending += 1

        def run() -> None:
            try:
                self._publish(
                    lease.key, epoch=lease.epoch, version=committed.version, hash_=committed.hash
                )
            finally:
                self._sending -= 1

        self._tasks.spawn(f"event of {lease.key.turn_id}", run)

    def resend(self, unsent: Sequence[Orphan]) -> None:
        """Send the events of turns whose committer died, or had no bus to send them to.

        Returns at once. One batch is sent at a time, and a bus that is away ends it at its first
        event.
        """
        if self._resending or not unsent:
            return
        self._resending = True

        def run() -> None:
            try:
                self._resend(unsent)
            finally:
                self._resending = False

        self._tasks.spawn("events that were not sent", run)

    def _resend(self, unsent: Sequence[Orphan]) -> None:
        taken = True
        for orphan in unsent:
            taken = taken and self._resend_one(orphan.key)
            if not taken and orphan.age_s > limits.EVENT_UNSENT_MAX_S:
                # The index must not grow for as long as the bus is away. Nothing relies on this
                # event: who remembers the session asks for its version before using it.
                self._sessions.settle(orphan.key)
                self._metrics.event(SESSION_UPDATED, "dropped")

    def _resend_one(self, key: TurnKey) -> bool:
        """Return whether the bus took it."""
        head = self._sessions.head(key.session)
        if head is None:
            self._sessions.settle(key)  # deleted since: nobody needs to hear of it
            return True
        return self._publish(key, epoch=head.epoch, version=head.version, hash_=head.hash)

    def _publish(self, key: TurnKey, *, epoch: str, version: int, hash_: str) -> bool:
        """Return whether the event was sent; what fails, the sweep does again."""
        session = key.session
        event = {
            "event_id": f"{session.session_id}:{key.turn_id}",
            "tenant": session.tenant,
            "session_id": session.session_id,
            "turn_id": key.turn_id,
            "epoch": epoch,
            "version": version,
            "hash": hash_,
        }
        try:
            self._bus.publish(
                Message(SESSION_UPDATED, session.session_id, json.dumps(event).encode())
            )
            self._sessions.settle(key)
        except Exception as error:  # noqa: BLE001 - the sweep does it again; nobody waits for this
            _log.warning("event_not_sent", session_id=session.session_id, error=str(error))
            return False
        return True
