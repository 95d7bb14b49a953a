"""Tells the other pods about committed turns: beside the turns, and again where that failed.

A turn stays in the index of running turns until its events were taken by the bus. So the index is
the outbox: what could not be sent, or died with its pod, is found there by the sweep.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import (
    Gone,
    MasterKeyMissing,
    Sealed,
    SessionNotFound,
    StoreUnavailable,
    TurnNotFound,
)
from kotaemon_node.domain.events import SESSION_UPDATED, TURN_LOG, SessionEvents, SessionUpdated
from kotaemon_node.domain.session import Principal, Turn, TurnKey
from kotaemon_node.engine.turn_log import TurnLog
from kotaemon_node.ports.events import Bus, Message
from kotaemon_node.ports.runtime import Tasks
from kotaemon_node.ports.sessions import Committed, Orphan, SessionHead, SessionStore, Work
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)


class TellsTurns(Protocol):
    """Is told of finished turns, as ``Tallying`` is; may be told of one again."""

    def turn(self, key: TurnKey, *, epoch: str, turn: Turn) -> bool:
        """Take note of it; False where that has to be tried again. Never raises."""
        ...


class Announcer:
    """Sends ``session_updated``, and ``turn_log`` where there is one.

    Nothing here waits for the bus but tasks of its own.
    """

    def __init__(
        self,
        *,
        sessions: SessionStore,
        bus: Bus,
        tasks: Tasks,
        metrics: Metrics,
        turn_log: TurnLog | None = None,
        tally: TellsTurns | None = None,
        session_events: SessionEvents = "all",
    ) -> None:
        """``tally`` counts each turn before its events count as sent."""
        self._session_events = session_events
        self._tally = tally
        self._sessions = sessions
        self._bus = bus
        self._tasks = tasks
        self._metrics = metrics
        self._turn_log = turn_log
        self._sending = 0
        self._resending = False

    @property
    def sending(self) -> int:
        """How many events of turns that ended here are on their way."""
        return self._sending

    def announce(self, work: Work, committed: Committed, turn: Turn) -> None:
        """Send the events of a turn, and then forget the turn. Returns at once."""
        lease = work.lease
        head = SessionHead(lease.epoch, committed.version, committed.hash)
        self._sending += 1

        def run() -> None:
            try:
                with structlog.contextvars.bound_contextvars(trace_id=turn.trace_id):
                    # First of all: who has just been answered looks at the list.
                    listed = self._relisted(lease.key)
                    if listed and self._counted(lease.key, head, turn):
                        hints = self._hints(lease.key, head, unmoved=work.unmoved)
                        self._publish(lease.key, [*hints, *self._logged(lease.key, head, turn)])
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
        kept_s = limits.TURN_LOG_UNSENT_MAX_S if self._turn_log else limits.EVENT_UNSENT_MAX_S
        taken = True
        for orphan in unsent:
            taken = taken and self._resend_one(orphan)
            if not taken and orphan.age_s > kept_s:
                # The index must not grow for as long as the bus is away. Nothing relies on these
                # events: who remembers the session asks for its version before using it.
                self._sessions.settle(orphan.key)
                self._metrics.event(SESSION_UPDATED, "dropped")
                self._lose_log()
            elif not taken and not orphan.aside:
                self._set_aside(orphan.key)

    def _resend_one(self, orphan: Orphan) -> bool:
        """Return whether the bus took what there is to say of the turn."""
        key = orphan.key
        head = self._sessions.head(key.session)
        if head is None:
            self._sessions.settle(key)  # deleted since: nobody needs to hear of it
            self._lose_log()
            return True
        turn = self._read_again(key)
        listed = self._relisted(key)
        if not listed or (turn is not None and not self._counted(key, head, turn)):
            return False
        logged = self._logged(key, head, turn) if turn is not None else ()
        # A hint that old is worth nothing; a bus that is back is not kept busy with it.
        stale = bool(logged) and orphan.age_s > limits.EVENT_UNSENT_MAX_S
        hints = () if stale else self._hints(key, head)
        taken = self._publish(key, [*hints, *logged])
        if taken and stale:
            self._metrics.event(SESSION_UPDATED, "dropped")
        return taken

    def _hints(
        self, key: TurnKey, head: SessionHead, *, unmoved: bool = False
    ) -> Sequence[Message]:
        """Return ``session_updated``, or nothing where no pod is to hear of it.

        Where the session is ``unmoved`` nobody else remembers a version that they were not told is
        behind: others were told when it came here.
        """
        if self._session_events == "none" or (self._session_events == "moved" and unmoved):
            self._metrics.event(SESSION_UPDATED, "spared")
            return ()
        return (_hint(key, head),)

    def _logged(self, key: TurnKey, head: SessionHead, turn: Turn) -> Sequence[Message]:
        """Return the turn as the log has it: one message, or none where there is no log."""
        if self._turn_log is None:
            return ()
        return (self._turn_log.message(key, epoch=head.epoch, turn=turn),)

    def _relisted(self, key: TurnKey) -> bool:
        """Have lists show the session's activity; False where the sweep is to do it again."""
        try:
            self._sessions.relist(key.session)
        except StoreUnavailable as error:
            _log.warning("session_not_listed", turn_id=key.turn_id, error=str(error))
            return False
        return True

    def _counted(self, key: TurnKey, head: SessionHead, turn: Turn) -> bool:
        """Count the turn; False where the sweep is to do it again."""
        return self._tally is None or self._tally.turn(key, epoch=head.epoch, turn=turn)

    def _read_again(self, key: TurnKey) -> Turn | None:
        """Return the turn as the history has it, where it is needed. Raises ``StoreUnavailable``.

        None as well where it is lost.
        """
        if self._turn_log is None and self._tally is None:
            return None
        try:
            return self._sessions.turn(key, Principal(key.session.tenant, "", "admin"))
        except MasterKeyMissing:
            raise  # it is missing here: another pod can tell of the turn
        except (SessionNotFound, TurnNotFound, Gone, Sealed):
            self._lose_log()
            return None

    def _lose_log(self) -> None:
        if self._turn_log is not None:
            self._metrics.event(TURN_LOG, "dropped")

    def _publish(self, key: TurnKey, messages: Sequence[Message]) -> bool:
        """Return whether all were sent; what fails, the sweep does again."""
        try:
            for message in messages:
                self._bus.publish(message)
                self._metrics.event(message.topic, "sent")
            self._sessions.settle(key, listed=True)
        except Exception as error:  # noqa: BLE001 - the sweep does it again; nobody waits for this
            topic = messages[0].topic if messages else SESSION_UPDATED
            self._metrics.event(topic, "failed")
            _log.warning("event_not_sent", turn_id=key.turn_id, error=str(error))
            self._set_aside(key)
            return False
        return True

    def _set_aside(self, key: TurnKey) -> None:
        """Let thousands of turns that wait for the bus hide no turn whose owner died."""
        try:
            self._sessions.set_aside(key)
        except StoreUnavailable as error:  # the sweep finds it where it is
            _log.warning("turn_not_set_aside", turn_id=key.turn_id, error=str(error))


def _hint(key: TurnKey, head: SessionHead) -> Message:
    """Return ``session_updated``."""
    session = key.session
    event = SessionUpdated(
        event_id=f"{session.session_id}:{key.turn_id}",
        tenant=session.tenant,
        session_id=session.session_id,
        turn_id=key.turn_id,
        epoch=head.epoch,
        version=head.version,
        hash=head.hash,
    )
    return Message(SESSION_UPDATED, session.session_id, json.dumps(asdict(event)).encode())
