"""One turn as it is told on a connection: read while there is room, else let go.

Law 1: nothing of the turn is kept here for a client that is slow. While there is room, frames are
    taken one by one as they come; where there is none for a while, following is closed, and begins
    again behind the last frame that was sent, from memory or from the store.
Law 2: what ends following ends this turn's frames, never the connection: ``reconnect`` where coming
    back helps, else ``error``, both without a number. Only the store ends a turn.
"""

import random
import threading
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Final, cast

import structlog

from kotaemon_node.api.sse import RECONNECT_MS, RECONNECT_SPREAD_MS, Frames
from kotaemon_node.api.websocket.connection import ConnectionEnded
from kotaemon_node.api.websocket.pace import Pace
from kotaemon_node.domain import door_limits
from kotaemon_node.domain.errors import Draining, NodeError, Unauthenticated, Unavailable
from kotaemon_node.domain.frames import Frame, FrameType
from kotaemon_node.domain.session import TurnKey

_log = structlog.get_logger(__name__)

Follow = Callable[[int], Frames]
"""Follows the turn behind a number; see ``TurnService.follow``."""


class FollowedTurn:
    """Tells one turn. ``run`` is a task of its own; ``stop`` may be called from any."""

    def __init__(
        self,
        key: TurnKey,
        *,
        follow: Follow,
        after: int,
        trace_id: str,
        pace: Pace,
        tell: Callable[[Frame], None],
        admitted: Callable[[], None],
    ) -> None:
        """``tell`` sends a frame; ``admitted`` raises where the client may read no more."""
        self.key: Final = key
        self._follow = follow
        self._position = after
        self._trace_id = trace_id
        self._pace = pace
        self._tell = tell
        self._admitted = admitted
        self._telling = threading.Lock()
        self._stopped = False
        self.over = False
        """True once the last frame is being sent: who has it may count on the turn's room."""

    def stop(self) -> None:
        """Send nothing more; when this returns, nothing of it is on its way.

        ``run`` then ends at once where it waits for room, else with the next frame or heartbeat.
        """
        with self._telling:
            self._stopped = True
        self._pace.wake()

    def run(self) -> None:
        """Tell the turn to its end. Raises ``Unauthenticated`` where its reader is sent away."""
        try:
            while not self._stopped and self._room():
                if self._told():
                    return
        except ConnectionEnded:
            return
        except Unauthenticated:
            raise
        except NodeError as error:
            self._farewell(error)
        except Exception:  # noqa: BLE001 - nobody above could tell the client
            _log.exception("socket_turn_failed", turn_id=self.key.turn_id)
            self._farewell(NodeError("following broke; read the turn instead"))

    def _told(self) -> bool:
        """Tell what comes while there is room; return whether that was all."""
        with closing(cast("Generator[Frame | None]", self._follow(self._position))) as frames:
            for frame in frames:
                # A store that cannot be asked ends nothing: who is known is not called a stranger.
                with suppress(Unavailable):
                    self._admitted()
                if frame is not None:
                    self._send(frame)
                if self._stopped or self.over:
                    return True
                if not self._room(door_limits.SOCKET_HOLDS_S):
                    return False
        return True

    def _room(self, timeout_s: float | None = None) -> bool:
        return self._pace.wait(timeout_s, unless=lambda: self._stopped)

    def _send(self, frame: Frame) -> None:
        with self._telling:
            if self._stopped:
                return
            self.over = frame.terminal or frame.type == "reconnect"
            self._tell(frame)
            if frame.seq is not None:
                self._position = frame.seq
            elif frame.type == "snapshot":
                self._position = cast("int", frame.fields["last"])

    def _farewell(self, error: NodeError) -> None:
        if error.retryable:
            leaving = isinstance(error, Draining)
            retry_ms = random.randrange(RECONNECT_SPREAD_MS) if leaving else RECONNECT_MS
            self._say("reconnect", {"retry_ms": retry_ms})
        else:
            fields = {"code": error.code, "message": str(error), "retryable": False}
            self._say("error", fields)

    def _say(self, kind: FrameType, fields: dict[str, object]) -> None:
        with suppress(ConnectionEnded):
            self._send(Frame(kind, fields, self.key.turn_id, self._trace_id, seq=None))
