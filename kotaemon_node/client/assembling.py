"""The text of a turn, put together from its frames; what does not fit is noticed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kotaemon_node.client.errors import Unfinished
from kotaemon_node.client.frames import (
    Done,
    Frame,
    Handoff,
    Restart,
    Snapshot,
    Sources,
    Text,
    frame_of,
)
from kotaemon_node.client.values import Answer


class OutOfPlace(Exception):
    """A frame is missing, or its text does not continue what is there."""


class Assembly:
    """What is known of a turn: the number of its last frame, its text, its end.

    Each frame is taken once, in its order. ``take`` returns what the reader is to see: the
    pieces of text that are returned, begun anew at each ``Restart``, are always the text here.
    """

    def __init__(self, session_id: str, turn_id: str) -> None:
        self.session_id = session_id
        self.turn_id = turn_id
        self.last = 0
        self.text = ""
        self.sources: Sequence[Mapping[str, Any]] = ()
        self.done: Done | None = None
        self.trace_id = ""
        self.by_snapshot = False
        """Frames are missing that a snapshot stood for: sources, for instance."""
        self._handoff = False

    def take(self, raw: Mapping[str, Any]) -> Sequence[Frame]:
        """Return the frames to show; raises ``OutOfPlace``."""
        frame = frame_of(raw)
        self.trace_id = frame.trace_id or self.trace_id
        if isinstance(frame, Snapshot):
            return self._catch_up(frame)
        if frame.seq is None:
            return [frame]
        if frame.seq <= self.last:
            return []
        if frame.seq != self.last + 1:
            raise OutOfPlace(f"frame {frame.seq} came behind {self.last}")
        self._add(frame)
        self.last = frame.seq
        return [frame]

    def begin_again(self) -> Frame:
        """Forget all frames, to read them anew; returns what tells the reader."""
        self.last, self.text, self.sources = 0, "", ()
        return self._restarted()

    def _restarted(self) -> Frame:
        raw = {"type": "restart", "turn_id": self.turn_id, "trace_id": self.trace_id}
        return frame_of(raw)

    def _shown(self, content: str, offset: int) -> Frame:
        """Return a piece of a snapshot as what it is to the reader: text, in a frame of its own."""
        raw = {
            "type": "text", "turn_id": self.turn_id, "trace_id": self.trace_id,
            "content": content, "offset": offset,
        }  # fmt: skip
        return frame_of(raw)

    def answer(self) -> Answer:
        """Return the finished turn as its frames told of it; raises ``Unfinished``."""
        done = self.done
        if done is None:
            raise Unfinished(
                "the stream was left before the end of its turn; follow_turn reads it anew",
                code="unfinished", trace_id=self.trace_id,
            )  # fmt: skip
        return Answer(
            response=self.text,
            sources=self.sources,
            session_id=self.session_id,
            turn_id=self.turn_id,
            trace_id=self.trace_id,
            state=done.state,
            usage=done.usage,
            timings=done.timings,
            degraded=done.degraded,
            version=done.version,
            handoff=bool(done.raw.get("handoff")) or self._handoff,
            raw=done.raw,
        )

    def _add(self, frame: Frame) -> None:
        match frame:
            case Text(content=content, offset=offset):
                if offset != len(self.text):
                    raise OutOfPlace(f"text of offset {offset} came behind {len(self.text)}")
                self.text += content
            case Restart():
                self.text = ""
            case Sources(docs=docs):
                self.sources = docs
            case Handoff(active=active):
                self._handoff = active
            case Done(answer=answer):
                if answer != self.text:
                    raise OutOfPlace("the text is not the answer of the end")
                self.done = frame
            case _:
                pass

    def _catch_up(self, frame: Snapshot) -> Sequence[Frame]:
        """Return the snapshot, and the text that it has beyond what was shown."""
        shown, self.text = self.text, frame.content
        self.last, self.by_snapshot = max(self.last, frame.last), True
        if not frame.content.startswith(shown):
            return [frame, self._restarted(), self._shown(frame.content, 0)]
        if rest := frame.content[len(shown) :]:
            return [frame, self._shown(rest, len(shown))]
        return [frame]


def with_sources(answer: Answer, turn: Answer) -> Answer:
    """Return ``answer`` with what the stored turn says besides."""
    return replace(answer, sources=turn.sources, usage=answer.usage or turn.usage)
