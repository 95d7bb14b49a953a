"""Handing sessions to people and back, and what people say in them."""

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from kotaemon_node.domain.acting_limits import HANDOFFS_COUNTED_EVERY_S
from kotaemon_node.domain.errors import Conflict, NodeError
from kotaemon_node.domain.handoff import By, Handoff, handback_frame
from kotaemon_node.domain.limits import JSON_WAIT_MAX_S
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey, TurnRequest
from kotaemon_node.engine.handoff import Persons
from kotaemon_node.ports.handoffs import Handed, HandedSession, Handoffs
from kotaemon_node.ports.runtime import Clock, IdSource
from kotaemon_node.ports.sessions import ClaimOutcome, SessionStore
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)


class Turns(Protocol):
    """What of ``engine.turns.TurnEngine`` is needed."""

    def submit(self, request: TurnRequest) -> ClaimOutcome:
        """Accept a turn."""
        ...

    def wait(self, key: TurnKey, principal: Principal, *, timeout_s: float) -> Turn | None:
        """Return the finished turn."""
        ...

    def break_off(self, key: TurnKey) -> None:
        """End it as interrupted."""
        ...

    def take(self, key: TurnKey, *, from_owner: str, again: bool = False) -> bool:
        """Execute it here; ``again``: also where a task of this pod has it still."""
        ...


class HandoffDesk:
    """``api.people_services.HandoffService``. Thread safe; all truth lies in the store."""

    def __init__(
        self,
        *,
        sessions: SessionStore,
        handoffs: Handoffs,
        turns: Turns,
        persons: Persons,
        clock: Clock,
        ids: IdSource,
        metrics: Metrics,
    ) -> None:
        self._sessions = sessions
        self._handoffs = handoffs
        self._turns = turns
        self._persons = persons
        self._clock = clock
        self._ids = ids
        self._metrics = metrics

    def begin(
        self, key: SessionKey, principal: Principal, *, by: By, reason: str, trace_id: str
    ) -> Handoff:
        """See the protocol."""
        epoch = self._epoch(key, principal)
        handed = self._handoffs.begin(
            key,
            self._persons.begun(by, reason),
            epoch=epoch,
            event_id=f"handoff-{self._ids.new_id()}",
            trace_id=trace_id,
        )
        if handed.changed:
            self._metrics.acting.handed_off(by)
            _log.info("handed_off", session_id=key.session_id, by=by)
        self._carry_on(handed)
        assert handed.handoff is not None
        return handed.handoff

    def end(self, key: SessionKey, principal: Principal, *, by: By, trace_id: str) -> None:
        """See the protocol."""
        epoch = self._epoch(key, principal)
        handed = self._handoffs.end(
            key,
            handback_frame(at=self._clock.now_s(), by=by),
            epoch=epoch,
            event_id=f"handback-{self._ids.new_id()}",
            trace_id=trace_id,
        )
        if handed.changed:
            _log.info("handed_back", session_id=key.session_id, by=by)
        self._carry_on(handed)

    def say(
        self, key: TurnKey, principal: Principal, *, text: str, name: str, trace_id: str
    ) -> Turn:
        """See the protocol."""
        view = self._sessions.load(key.session, principal, after_version=0, limit=0)
        if view.handoff is None and not self._said_before(key, principal):
            raise Conflict("no person has this session; hand it off first")
        said = {"author": "agent", "name": name, "text": text}
        self._turns.submit(
            TurnRequest(
                key=key,
                principal=principal,
                message="",
                options={"said": said},
                on_busy="enqueue",
                trace_id=trace_id,
                create_session=False,
            )
        )
        turn = self._turns.wait(key, principal, timeout_s=JSON_WAIT_MAX_S)
        return turn or self._sessions.turn(key, principal)

    def waiting(self, tenant: str, *, limit: int) -> Sequence[HandedSession]:
        """See the protocol."""
        return self._handoffs.waiting(tenant, limit=limit)

    def forget(self, key: SessionKey) -> None:
        """See the protocol."""
        try:
            self._handoffs.note(key, None)
        except NodeError as error:
            _log.info("handoff_not_forgotten", error=str(error))

    def keep_counted(self, *, leaving: Callable[[], bool]) -> None:
        """Show how many sessions people have, until the pod leaves."""
        while not leaving():
            try:
                self._metrics.acting.handed_off_now(self._handoffs.count())
            except NodeError as error:
                _log.info("handoffs_not_counted", error=str(error))
            self._clock.sleep(HANDOFFS_COUNTED_EVERY_S)

    def _said_before(self, key: TurnKey, principal: Principal) -> bool:
        """Tell whether this is the repeat of a message that came before the session went back."""
        try:
            return bool(self._sessions.turn(key, principal).author)
        except NodeError:
            return False

    def _epoch(self, key: SessionKey, principal: Principal) -> str:
        """Bring the session back where it rests; raises what a load raises."""
        return self._sessions.load(key, principal, after_version=0, limit=0).epoch

    def _carry_on(self, handed: Handed) -> None:
        """End what was fenced, and begin what tells of it. What fails here, a sweep does."""
        try:
            if handed.broken_off is not None:
                self._turns.break_off(handed.broken_off)
            elif handed.next is not None:
                self._turns.take(handed.next, from_owner="", again=handed.again)
        except NodeError as error:
            _log.info("handoff_left_to_the_sweep", error=str(error))
