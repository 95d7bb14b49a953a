"""Frames as server-sent events.

Rule 1: a request that fails before its first frame is an ordinary error with a status.
Rule 2: once a stream has begun, only the store may end its turn. When following breaks, the client
    is told to come back (``reconnect``), or, where coming back is useless, gets an ``error`` frame
    without a number; neither is part of the turn.
Rule 3: whoever leaves frees everything: closing the answer closes the iterator of frames.
Rule 4: a stream ends with the credential that opened it: whoever is sent away may not read on.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, cast

import structlog
from flask import Response

from kotaemon_node.api.answers import to_json
from kotaemon_node.api.context import shared, still_admitted, trace_id
from kotaemon_node.api.limited import LimitedSlots, stream_place, take_stream
from kotaemon_node.domain.errors import Draining, Malformed, NodeError, Unavailable
from kotaemon_node.domain.frames import Frame, FrameType
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.session import SessionPlace

_log = structlog.get_logger(__name__)

HEARTBEAT: Final = b": heartbeat\n\n"
RECONNECT_MS: Final = 500
# Readers of a pod that leaves come back at different times, not all at one moment to one pod.
RECONNECT_SPREAD_MS: Final = 1_000
EVENT_STREAM: Final = "text/event-stream"

Frames = Iterator[Frame | None]


def encoded(frame: Frame) -> bytes:
    """Return a frame as an event. JSON has no line break, so its data is one line."""
    head = "" if frame.seq is None else f"id: {frame.turn_id}:{frame.seq}\n"
    return f"{head}event: {frame.type}\ndata: ".encode() + to_json(frame.as_dict()) + b"\n\n"


def resume_point(last_event_id: str | None, *, after: int | None, turn_id: str) -> int:
    """Return the number after which frames are wanted.

    ``Last-Event-ID`` is ``<turn_id>:<seq>`` or the bare number and goes before ``?after=``: a
    browser that reconnects repeats the address it began with. Raises ``Malformed``.
    """
    if not last_event_id:
        return after or 0
    turn, _, seq = last_event_id.strip().rpartition(":")
    if turn not in ("", turn_id):
        raise Malformed("Last-Event-ID belongs to another turn")
    if not (seq.isascii() and seq.isdigit() and len(seq) <= 16):
        raise Malformed("Last-Event-ID must be <turn_id>:<number> or a number")
    return int(seq)


def session_place(last_event_id: str | None, *, after_version: int | None) -> SessionPlace:
    """Return from where on a session is followed; the header goes before ``?after_version=``.

    Raises ``Malformed`` where the header does not name a turn and a number.
    """
    if not last_event_id:
        return SessionPlace(version=after_version)
    turn_id = checked_id("Last-Event-ID", last_event_id.strip().rpartition(":")[0])
    seq = resume_point(last_event_id, after=None, turn_id=turn_id)
    return SessionPlace(turn_id=turn_id, seq=seq)


def stream_answer(
    follow: Callable[[], Frames], *, turn_id: str, form: "Callable[..., EventStream] | None" = None
) -> Response:
    """Return an answer that sends the frames of ``follow()`` as they come, in a ``form``.

    The slot is taken before anything is asked for and the first item is awaited here, so that
    ``Overloaded``, ``Gone``, ``TurnNotFound`` and the like are raised and become plain errors.
    """
    shared().streams.take()
    slots = LimitedSlots(shared().streams, None)
    try:
        slots = LimitedSlots(shared().streams, place := stream_place(turn_id))
        frames = follow()
        take_stream(place)  # of a turn that was handed in it was taken with the turn
        events = (form or EventStream)(
            frames,
            slots=slots,
            turn_id=turn_id,
            trace_id=trace_id(),
            admitted=still_admitted(),
        )
        events.begin()
    except BaseException:
        slots.give_back()
        raise
    answer = StreamedAnswer(events, mimetype=EVENT_STREAM)
    answer.headers["Cache-Control"] = "no-store"
    # A proxy that collects a stream before it passes it on would hide the answer until its end.
    answer.headers["X-Accel-Buffering"] = "no"
    return answer


class LastingBody:
    """The body of an answer that lasts, and nothing else of it: thousands are open at once."""

    __slots__ = ("_closing", "_events")

    def __init__(self, events: "EventStream", closing: list[Callable[[], object]]) -> None:
        self._events = events
        self._closing = closing

    def __iter__(self) -> Iterator[bytes]:
        return self._events

    def close(self) -> None:
        """Close the stream, and whatever waits for the end of the answer."""
        try:
            self._events.close()
        finally:
            for call in self._closing:
                call()


class StreamedAnswer(Response):
    """An answer whose body the server may go on with when the request is over."""

    def get_app_iter(self, environ: Any) -> Any:
        """Return the body; nothing where only the head was asked for."""
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().get_app_iter(environ)
        return LastingBody(cast(EventStream, self.response), self._on_close)


class EventStream:
    """The body of a streaming answer: an iterator of bytes that the server closes in any case.

    A class and not a generator: a generator that was never started ignores ``close``, and a client
    can leave before the first byte.
    """

    # A subclass may have more attributes than these; those of most streams take no dict.
    __slots__ = (
        "_admitted", "_closed", "_ended", "_frames", "_slots", "_trace_id", "_turn_id", "_waiting",
    )  # fmt: skip

    def __init__(
        self,
        frames: Frames,
        *,
        slots: LimitedSlots,
        turn_id: str,
        trace_id: str,
        admitted: Callable[[], None],
    ) -> None:
        """``admitted`` raises ``Unauthenticated`` once the reader may not read any more."""
        self._frames = frames
        self._admitted = admitted
        self._slots = slots
        self._turn_id = turn_id
        self._trace_id = trace_id
        self._waiting: list[bytes] = []
        self._ended = False
        self._closed = False

    def begin(self) -> None:
        """Wait for the first item; what following raises is raised here."""
        try:
            self._waiting.append(self._event(next(self._frames)))
        except StopIteration:
            self._ended = True

    def __iter__(self) -> "EventStream":
        return self

    def __next__(self) -> bytes:
        """Return the next event or heartbeat."""
        if self._waiting:
            return self._waiting.pop()
        if self._ended:
            raise StopIteration
        try:
            frame = next(self._frames)
            # A store that cannot be asked ends no stream: who is known is not called a stranger.
            with suppress(Unavailable):
                self._admitted()
            return self._event(frame)
        except StopIteration:
            self._ended = True
            raise
        except NodeError as error:
            return self._farewell(error)
        except Exception:  # noqa: BLE001 - the status is out already; nobody above could tell
            _log.exception("stream_failed", turn_id=self._turn_id)
            return self._farewell(NodeError("the stream broke; read the turn instead"))

    def close(self) -> None:
        """Stop following and free the slot; may be called again."""
        if self._closed:
            return
        self._closed = self._ended = True
        try:
            stop = getattr(self._frames, "close", None)
            if stop is not None:
                stop()
        finally:
            self._slots.give_back()

    def _event(self, frame: Frame | None) -> bytes:
        return HEARTBEAT if frame is None else encoded(frame)

    def _farewell(self, error: NodeError) -> bytes:
        self._ended = True
        if error.retryable:
            _log.warning("stream_cut", turn_id=self._turn_id, code=error.code)
            leaving = isinstance(error, Draining)
            self._slots.told_to_come_back(leaving=leaving)
            retry_ms = random.randrange(RECONNECT_SPREAD_MS) if leaving else RECONNECT_MS
            return self._unnumbered("reconnect", {"retry_ms": retry_ms})
        fields = {"code": error.code, "message": str(error), "retryable": False}
        return self._unnumbered("error", fields)

    def _unnumbered(self, kind: FrameType, fields: dict[str, object]) -> bytes:
        return encoded(Frame(kind, fields, self._turn_id, self._trace_id, seq=None))
