"""A chat completion as a stream of chunks.

Rule 1: what fails before the first frame is an error with a status; later, the stream ends with a
    chunk that holds ``error``, which clients raise.
Rule 2: it cannot be resumed: the same request again finds the same turn and begins at its first
    piece.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kotaemon_node.api.answers import to_json
from kotaemon_node.api.openai.completion import Delta, Telling
from kotaemon_node.api.openai.errors import error_chunk
from kotaemon_node.api.sse import HEARTBEAT, EventStream
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.frames import Frame

_DONE: Final = b"data: [DONE]\n\n"


class ChunkStream(EventStream):
    """The body of the answer."""

    def tell(
        self,
        telling: Telling,
        *,
        head: Mapping[str, Any],
        about: Mapping[str, Any],
        with_usage: bool,
    ) -> "ChunkStream":
        """Say how frames are told; ``head``: id, created and model."""
        self._telling = telling
        self._head, self._about = head, about
        self._with_usage = with_usage
        self._begun = False
        return self

    def _event(self, frame: Frame | None) -> bytes:
        """Return what a frame says; a comment where it says nothing, so that time-outs see life."""
        if frame is None:
            return HEARTBEAT
        chunks = [self._chunk(delta) for delta in self._telling.take(frame)]
        if not self._begun:
            self._begun = True
            chunks.insert(0, self._chunk({"role": "assistant", "content": ""}))
        if frame.type == "done":
            chunks += self._last()
        return b"".join(chunks) or HEARTBEAT

    def _last(self) -> Iterator[bytes]:
        told = {"trace_id": self._telling.trace_id, **self._telling.told}
        more = {"kotaemon": {**self._about, **told}}
        yield self._chunk({}, finish_reason=self._telling.finish_reason, more=more)
        if self._with_usage:
            yield self._data({"choices": [], "usage": self._telling.usage})
        yield _DONE

    def _chunk(
        self,
        delta: Delta,
        *,
        finish_reason: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        usage = {"usage": None} if self._with_usage else {}
        return self._data({"choices": [choice], **usage, **(more or {})})

    def _data(self, fields: Mapping[str, Any]) -> bytes:
        chunk = {**self._head, "object": "chat.completion.chunk", **fields}
        return b"data: " + to_json(chunk) + b"\n\n"

    def _farewell(self, error: NodeError) -> bytes:
        self._ended = True
        return b"data: " + to_json(error_chunk(error)) + b"\n\n"
