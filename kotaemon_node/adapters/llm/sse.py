"""Server-sent events out of bytes, as the WHATWG HTML standard parses an event stream. No I/O."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

EVENT_BYTES_MAX: Final = 1024 * 1024
"""A chunk of a completion is a few hundred bytes; what is larger by three orders is no chunk."""


class ServerSentEvent(NamedTuple):
    """One event of a stream; a tuple, as ``completion.Chunk``."""

    data: str
    type: str = "message"
    id: str = ""
    """The last id that the stream named, at this event or before it."""


class EventTooLarge(ValueError):
    """One event of the stream is larger than ``EVENT_BYTES_MAX``."""


class EventStreamParser:
    """Takes bytes as they arrive, cut anywhere, and gives the events that they complete."""

    def __init__(self) -> None:
        self._unfinished_line = b""
        self._after_carriage_return = False
        self._at_stream_start = True
        self._data: list[str] = []
        self._data_bytes = 0
        self._type = ""
        self._id = ""

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Yield the events that end within ``chunk``. Raises ``EventTooLarge``."""
        if self._after_carriage_return and chunk:
            # "\r" ended a line at once; the "\n" of a pair cut in two must not end another.
            self._after_carriage_return = False
            chunk = chunk.removeprefix(b"\n")
        received = self._unfinished_line + chunk
        # Lines are split before they are decoded, so a character cut by a chunk is whole again.
        # Nearly all servers end them by "\n" alone, which is split in a tenth of the time.
        mixed = b"\r" in received
        *lines, self._unfinished_line = (
            _LINE_END.split(received) if mixed else received.split(b"\n")
        )
        if mixed:
            self._after_carriage_return = received.endswith(b"\r")
        if len(self._unfinished_line) > EVENT_BYTES_MAX:
            raise EventTooLarge(f"a line is longer than {EVENT_BYTES_MAX} bytes")
        for line in lines:
            if (event := self._take_line(line)) is not None:
                yield event

    def finish(self) -> Iterator[ServerSentEvent]:
        """Yield what the end of the stream completes.

        The standard drops an event without its closing blank line; some servers forget that line
        after their last event, so it is given, and the caller judges whether it is whole.
        """
        yield from self.feed(b"\n\n")

    def _take_line(self, line: bytes) -> ServerSentEvent | None:
        if self._at_stream_start:
            self._at_stream_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        self._take_field(name, value.removeprefix(b" "))
        return None

    def _take_field(self, name: bytes, value: bytes) -> None:
        """Apply one field; a comment has the empty name and, like unknown names, no effect."""
        if name == b"data":
            self._data_bytes += len(value) + 1
            if self._data_bytes > EVENT_BYTES_MAX:
                raise EventTooLarge(f"an event is larger than {EVENT_BYTES_MAX} bytes")
            self._data.append(value.decode(errors="replace"))
        elif name == b"event":
            self._type = value.decode(errors="replace")
        elif name == b"id" and b"\x00" not in value:
            self._id = value.decode(errors="replace")

    def _dispatch(self) -> ServerSentEvent | None:
        event = None
        if self._data:
            event = ServerSentEvent("\n".join(self._data), self._type or "message", self._id)
        self._data, self._data_bytes, self._type = [], 0, ""
        return event
