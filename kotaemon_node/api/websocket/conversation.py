"""The conversation on one connection: hears its client, runs and follows turns, keeps the pulse.

One task hears and answers; each followed turn has one task that tells it (``following``), however
often it is asked for: so tasks are bounded as turns are, those that end included. Nothing of
the conversation is here but which turns are followed: a client that comes to another pod says
``resume`` with what it has.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog

from kotaemon_node.api.answers import to_json
from kotaemon_node.api.errors import ERRORS
from kotaemon_node.api.sse import RECONNECT_SPREAD_MS
from kotaemon_node.api.streams import StreamSlots
from kotaemon_node.api.websocket.connection import (
    INTERNAL,
    NORMAL,
    POLICY,
    RESTART,
    UNSUPPORTED,
    Connection,
    ConnectionEnded,
)
from kotaemon_node.api.websocket.desk import Accepted, Desk
from kotaemon_node.api.websocket.following import FollowedTurn
from kotaemon_node.api.websocket.messages import (
    AckSaid,
    CancelSaid,
    MessageSaid,
    PingSaid,
    ResumeSaid,
    Said,
    read_said,
)
from kotaemon_node.api.websocket.pace import Pace
from kotaemon_node.domain import door_limits, limits
from kotaemon_node.domain.errors import (
    LimitReached,
    Malformed,
    NodeError,
    Overloaded,
    TurnNotFound,
    Unauthenticated,
    Unavailable,
)
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.session import TurnKey

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Task:
    """The task of one turn. What it tells may be replaced, until it has told that to its end."""

    turn: FollowedTurn
    slot: bool
    """Whether it has a slot of the pod's."""


class Conversation:
    """``run`` serves the connection to its end; ``leave`` may be called from another task."""

    def __init__(
        self,
        connection: Connection,
        desk: Desk,
        *,
        pace: Pace,
        slots: StreamSlots,
        spread: Callable[[int], int],
    ) -> None:
        """``spread`` returns a random number below the one that it is given."""
        self._connection = connection
        self._desk = desk
        self._pace = pace
        self._slots = slots
        self._spread = spread
        self._lock = threading.Lock()
        self._followed: dict[TurnKey, _Task] = {}
        self._pinged_at_s = time.monotonic()

    @property
    def busy(self) -> bool:
        """True while a turn is told here."""
        return bool(self._followed)

    def run(self) -> None:
        """Hear the client until the connection ends; ``ConnectionEnded`` leaves this."""
        try:
            while True:
                self._keep_pulse()
                said = self._connection.receive(self._until_ping_s())
                if said is not None:
                    self._hear(said)
        except Unauthenticated as error:
            self._send_away(error)
        except ConnectionEnded:
            raise
        except Exception:  # noqa: BLE001 - the status is out already; nobody above could tell
            _log.exception("socket_failed")
            self._connection.close(INTERNAL, "something went wrong on our side")
        finally:
            self._pace.end()
            for turn in self._now():
                turn.stop()

    def leave(self) -> None:
        """Send the client to another pod: the connection ends within ``SOCKET_CLOSE_S``."""
        with suppress(ConnectionEnded):
            retry_ms = self._spread(RECONNECT_SPREAD_MS)
            self._slots.told_to_come_back(leaving=True)
            self._tell(Frame("reconnect", {"retry_ms": retry_ms}, "", self._desk.trace_id, None))
        self._connection.say_close(RESTART, "this pod is leaving")
        threading.Event().wait(door_limits.SOCKET_CLOSE_S)
        self._connection.abort()

    # --- the pulse ------------------------------------------------------------------------------

    def _until_ping_s(self) -> float:
        every_s = limits.HEARTBEAT_RUNNING_S if self.busy else limits.HEARTBEAT_IDLE_S
        return max(0.0, self._pinged_at_s + every_s - time.monotonic())

    def _keep_pulse(self) -> None:
        """Ping when it is time. Raises ``ConnectionEnded``, ``Unauthenticated``."""
        if self._until_ping_s() > 0:
            return
        if self._connection.pings_unanswered >= door_limits.SOCKET_PINGS_UNANSWERED_MAX:
            _log.info("socket_silent")
            self._connection.abort()
            raise ConnectionEnded(NORMAL, "the peer answers no pings")
        with suppress(Unavailable):
            self._desk.admitted()
        self._connection.ping()
        self._pinged_at_s = time.monotonic()

    # --- what the client says -------------------------------------------------------------------

    def _hear(self, said: str | bytes) -> None:
        """Do what was said; what cannot be done is told, and the connection stays."""
        if isinstance(said, bytes):
            self._connection.close(UNSUPPORTED, "text messages only")
            raise ConnectionEnded(UNSUPPORTED)
        trace_id = self._desk.fresh_trace_id()
        fields: dict[str, Any] = {}
        try:
            with suppress(Unavailable):
                self._desk.admitted()
            wanted, fields = self._read(said)
            self._do(wanted, trace_id)
        except (Unauthenticated, ConnectionEnded):
            raise
        except NodeError as error:
            self._refuse(error, fields, trace_id)
        except Exception:  # noqa: BLE001 - one message that we cannot bear must not end the others
            _log.exception("socket_message_failed")
            self._refuse(NodeError(""), fields, trace_id)

    def _read(self, said: str) -> tuple[Said, dict[str, Any]]:
        with self._counted():
            return read_said(said)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count what is wrong in itself: it never gets to where turns are counted."""
        try:
            yield
        except Unauthenticated:  # is sent away
            raise
        except NodeError:
            self._desk.count()
            raise

    def _do(self, wanted: Said, trace_id: str) -> None:
        match wanted:
            case MessageSaid():
                self._message(wanted, trace_id)
            case ResumeSaid():
                with self._counted():
                    key = self._desk.key(wanted.session_id, wanted.turn_id)
                self._desk.count(key)
                self._begin_following(key, after=wanted.after, trace_id=trace_id)
            case CancelSaid():
                with self._counted():
                    key = self._meant(wanted)
                self._desk.count(key)
                self._desk.cancel(key)
            case AckSaid():
                self._pace.acknowledge(wanted.seq, wanted.turn_id)
            case PingSaid():
                self._answer({"type": "pong", "trace_id": self._desk.trace_id})

    def _message(self, said: MessageSaid, trace_id: str) -> None:
        with self._counted():
            self._others(
                None if said.turn_id is None else self._desk.key(said.session_id, said.turn_id)
            )
        accepted = self._desk.accept(said, trace_id)
        if said.session_id is None or said.turn_id is None:
            self._announce(accepted, said.message)
        self._begin_following(accepted.key, after=0, trace_id=trace_id)

    def _announce(self, accepted: Accepted, message: str) -> None:
        """Tell the client the ids that it did not choose, by which it can resume."""
        key = accepted.key
        fields = {
            "session_id": key.session.session_id,
            "message": message,
            "state": accepted.state,
        }
        frame = Frame("turn", fields, key.turn_id, accepted.trace_id, seq=None)
        self._answer(frame.as_dict())

    def _meant(self, said: CancelSaid) -> TurnKey:
        """Return the turn to be cancelled: where none is named, the newest that is followed."""
        if said.turn_id is not None:
            return self._desk.key(said.session_id, said.turn_id)
        for turn in reversed(self._now()):
            if said.session_id in {None, turn.key.session.session_id}:
                return turn.key
        raise TurnNotFound("no turn is followed on this connection; name one")

    def _refuse(self, error: NodeError, fields: dict[str, Any], trace_id: str) -> None:
        code = error.code if error.code in ERRORS else NodeError.code
        told: dict[str, Any] = {
            "code": code,
            "message": str(error) or ERRORS[code].meaning,
            "retryable": error.retryable,
        }
        if isinstance(error, LimitReached):
            told["retry_after_s"] = error.retry_after_s
        turn_id = ""
        with suppress(Malformed):  # what names no turn is not repeated
            turn_id = checked_id("turn id", fields.get("turn_id"))
        self._answer(Frame("error", told, turn_id, trace_id, seq=None).as_dict())

    # --- turns ----------------------------------------------------------------------------------

    def _begin_following(self, key: TurnKey, *, after: int, trace_id: str) -> None:
        """Follow a turn in a task of its own; in that of the turn where it has one already."""
        turn = FollowedTurn(
            key,
            follow=lambda position: self._desk.follow(key, position),
            after=after,
            trace_id=trace_id,
            pace=self._pace,
            tell=self._tell,
            admitted=self._desk.admitted,
        )
        with self._lock:
            task = self._followed.get(key)
            # The connection's own is for one turn.
            if (slot := self._others(key) > 0) and not (task and task.slot):
                self._slots.take()
            if task is None:
                before, task = None, _Task(turn, slot)
                self._followed[key] = task
            else:
                before, task.turn, task.slot = task.turn, turn, task.slot or slot
        self._desk.tell_read(key)
        if before is not None:
            before.stop()  # its task goes on with this one
            return
        threading.Thread(target=self._follow, args=(task,), daemon=True).start()

    def _follow(self, task: _Task) -> None:
        turn: FollowedTurn | None = None
        try:
            while (turn := self._next(task, turn)) is not None:
                turn.run()
        except Unauthenticated as error:
            self._send_away(error)
        finally:
            with self._lock:
                if self._followed.get(task.turn.key) is task:
                    del self._followed[task.turn.key]
            if task.slot:
                self._slots.give_back()

    def _next(self, task: _Task, told: FollowedTurn | None) -> FollowedTurn | None:
        """Return what the task tells next, None where it has told all: then it is followed no more.

        Both at once: who asks for the turn afterwards finds no task that would not hear of it.
        """
        with self._lock:
            if task.turn is not told:
                return task.turn
            del self._followed[task.turn.key]
            return None

    def _others(self, key: TurnKey | None) -> int:
        """Return how many turns are followed besides this one; raises ``Overloaded``."""
        turns = [task.turn for task in list(self._followed.values())]
        others = [turn for turn in turns if turn.key != key and not turn.over]
        if len(others) >= door_limits.SOCKET_TURNS_MAX:
            raise Overloaded(f"this connection follows {door_limits.SOCKET_TURNS_MAX} turns")
        return len(others)

    def _now(self) -> list[FollowedTurn]:
        with self._lock:
            return [task.turn for task in self._followed.values()]

    # --- out ------------------------------------------------------------------------------------

    def _tell(self, frame: Frame) -> None:
        text = to_json(frame.as_dict()).decode()
        self._connection.send(text)
        self._pace.sent(len(text), turn_id=frame.turn_id, seq=frame.seq)
        if frame.type == "reconnect" and frame.turn_id:
            self._slots.told_to_come_back(leaving=self._desk.leaving)

    def _answer(self, fields: dict[str, Any]) -> None:
        """Send what is no frame of a turn. Who floods us with mistakes waits for the answers."""
        text = to_json(fields).decode()
        self._pace.wait(window=False)
        self._connection.send(text)
        self._pace.sent(len(text))

    def _send_away(self, error: Unauthenticated) -> None:
        """Say that the credential counts no more, and close."""
        with suppress(ConnectionEnded):
            told = {"code": error.code, "message": str(error), "retryable": False}
            self._tell(Frame("error", told, "", self._desk.trace_id, seq=None))
        self._connection.say_close(POLICY, "the credential counts no more")
