"""What a conversation asks of its pod: to accept, follow and cancel turns, as any route does."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from kotaemon_node.api.asking import fresh_session_id, open_mode
from kotaemon_node.api.audited_routes import is_anothers
from kotaemon_node.api.context import (
    audit,
    principal,
    services,
    session_key,
    still_admitted,
    trace_id,
)
from kotaemon_node.api.limited import count_said, counted
from kotaemon_node.api.sse import Frames
from kotaemon_node.api.websocket.messages import MessageSaid
from kotaemon_node.domain.errors import Conflict, Draining
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.session import SessionKey, TurnKey, TurnRequest
from kotaemon_node.ports.sessions import ClaimOutcome


@dataclass(frozen=True, slots=True)
class Accepted:
    """A turn that the store has; ``state`` is what it was in then, as far as that is known."""

    key: TurnKey
    state: str
    trace_id: str


class Desk:
    """Used in the request's context; ``follow`` and ``admitted`` may be called anywhere."""

    def __init__(self, named_session: str | None) -> None:
        """``named_session``: the connection's session, where its client named one."""
        self._services = services()
        self._caller = principal()
        self._session = None if named_session is None else session_key(named_session)
        self._minted: SessionKey | None = None
        self.trace_id = trace_id()
        """Of the handshake; each message has its own."""
        self.admitted: Callable[[], None] = still_admitted()
        """Raises ``Unauthenticated`` once the client's credential counts no more."""

    @property
    def leaving(self) -> bool:
        """True once the pod is leaving."""
        return self._services.pod.draining

    def fresh_trace_id(self) -> str:
        """Return the trace id of one message: a connection may last for days."""
        return hashlib.sha256(self._services.ids.new_id().encode()).hexdigest()[:32]

    def key(self, session_id: str | None, turn_id: str) -> TurnKey:
        """Return the turn that a client names. Raises ``Malformed``, ``SessionNotFound``."""
        session = self._own_session() if session_id is None else session_key(session_id)
        return TurnKey(session, checked_id("turn id", turn_id))

    def accept(self, said: MessageSaid, trace_id: str) -> Accepted:
        """Have the message run as a turn; errors as of ``POST …/turns``."""
        key = self.key(said.session_id, said.turn_id or self._services.ids.new_id())
        asked = TurnRequest(
            key=key,
            principal=self._caller,
            message=said.message,
            options=said.options(),
            on_busy=said.on_busy,
            trace_id=trace_id,
            create_session=open_mode() or key.session == self._minted,
            epoch=said.epoch or "",
        )
        if self.leaving:
            raise Draining("this pod is leaving")
        if said.context and asked.create_session:
            self._create(key.session, said.context)
        with self._services.traces.begin("WS /ws/chat", trace_id=trace_id, kind="server"):
            outcome = counted(asked, self._services.turns.submit)
        return Accepted(key, _STATES[outcome], trace_id)

    def follow(self, key: TurnKey, after: int) -> Frames:
        """Follow a turn; see ``TurnService.follow``."""
        return self._services.turns.follow(key, self._caller, after=after)

    def count(self, key: TurnKey | None = None) -> None:
        """Count what was said and is no turn; ``key``: the turn that is come back to, or ended.

        Raises ``LimitReached``, ``StoreBusy``.
        """
        count_said(key)

    def tell_read(self, key: TurnKey) -> None:
        """Tell the audit log that the client reads a turn, where it is another's."""
        if is_anothers(key.session.session_id):
            audit("session.read", target=key.session.session_id)

    def cancel(self, key: TurnKey) -> None:
        """End a turn; one that is finished stays as it is."""
        self._services.turns.cancel(key, self._caller)
        if is_anothers(key.session.session_id):
            audit("turn.cancelled", target=f"{key.session.session_id}/{key.turn_id}")

    def _own_session(self) -> SessionKey:
        if self._session is None:
            self._session = self._minted = session_key(fresh_session_id())
        return self._session

    def _create(self, key: SessionKey, context: dict[str, object]) -> None:
        """Make the session with its context, if it is not there yet."""
        caller = self._caller
        fields: dict[str, object] = {"context": context}
        if caller.role != "open" and not caller.sees_all:
            fields["user_id"] = caller.subject
        epoch = self._services.ids.new_id()
        with suppress(Conflict):
            self._services.sessions.create(key, caller, epoch=epoch, fields=fields)


_STATES = {
    ClaimOutcome.OWNED: "running",
    ClaimOutcome.QUEUED: "queued",
    ClaimOutcome.ATTACHED: "running",
    ClaimOutcome.FINISHED: "done",
}
