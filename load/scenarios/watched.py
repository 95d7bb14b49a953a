"""What has to be right of a turn's stream, over any number of connections.

Law 1: numbers go 1, 2, 3…: one that is missing and one that comes twice are wrong answers.
Law 2: each piece of text stands where the text before it ends, counted in code points.
Law 3: the answer at the end is that text, and each of its marks ``[n]`` names a source.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MARK = re.compile(r"\[(\d{1,3})\]")
_LINE_BYTES_MAX = 4_000_000
"""Of an event that has not ended: the longest answer, escaped, is shorter."""


class WrongAnswer(Exception):
    """The cluster said something that cannot be right. The message names no id: it is counted."""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    id: str
    type: str
    frame: Mapping[str, Any]


class Events:
    """The events of one connection, from pieces of bytes cut anywhere."""

    __slots__ = ("_left", "beats")

    def __init__(self) -> None:
        self._left = b""
        self.beats = 0
        """Heartbeats seen: comments."""

    def feed(self, received: bytes) -> Iterator[Event]:
        """Yield the events that are whole now. Raises ``WrongAnswer``."""
        *blocks, self._left = (self._left + received).split(b"\n\n")
        if len(self._left) > _LINE_BYTES_MAX:
            raise WrongAnswer("an event has no end")
        for block in blocks:
            event = self._event(block)
            if event is not None:
                yield event

    def _event(self, block: bytes) -> Event | None:
        fields: dict[str, str] = {}
        for line in block.decode("utf-8").split("\n"):
            name, _, value = line.partition(":")
            if not name:
                self.beats += 1
                continue
            fields[name] = value.removeprefix(" ")
        if "data" not in fields:
            return None
        try:
            frame = json.loads(fields["data"])
        except ValueError as error:
            raise WrongAnswer("an event holds no JSON") from error
        return Event(fields.get("id", ""), fields.get("event", ""), frame)


class Watched:
    """One turn as its client sees it."""

    __slots__ = ("docs", "end", "last", "restarts", "text", "turn_id")

    def __init__(self, turn_id: str) -> None:
        self.turn_id = turn_id
        self.last = 0
        """Number of the last frame."""
        self.text = ""
        self.docs: Sequence[Mapping[str, Any]] = ()
        self.end: Mapping[str, Any] | None = None
        self.restarts = 0

    @property
    def last_id(self) -> str:
        """What a client that was cut off comes back with."""
        return f"{self.turn_id}:{self.last}"

    def take(self, event: Event) -> None:
        """Go on by one event. Raises ``WrongAnswer``."""
        frame = event.frame
        if event.type == "error":
            raise WrongAnswer(f"the turn ended with {frame.get('code')}")
        if event.type == "snapshot":
            self.last, self.text = int(frame["last"]), str(frame["content"])
        elif (seq := frame.get("seq")) is not None:
            self._number(event, seq)
            self._add(event.type, frame)

    def _add(self, kind: str, frame: Mapping[str, Any]) -> None:
        match kind:
            case "text":
                self._text(frame)
            case "restart":
                self.text, self.restarts = "", self.restarts + 1
            case "source":
                self.docs = frame["docs"]
            case "done":
                self._done(frame)

    def _number(self, event: Event, seq: int) -> None:
        if frame_turn(event) != self.turn_id or event.id != f"{self.turn_id}:{seq}":
            raise WrongAnswer("a frame of another turn, or under another id")
        if self.end is not None:
            raise WrongAnswer("a frame came behind the end")
        if seq > self.last + 1:
            raise WrongAnswer("frames are missing")
        if seq <= self.last:
            raise WrongAnswer("a frame came twice")
        self.last = seq

    def _text(self, frame: Mapping[str, Any]) -> None:
        if frame["offset"] != len(self.text):
            raise WrongAnswer("a text does not go on at the next character")
        self.text += frame["content"]

    def _done(self, frame: Mapping[str, Any]) -> None:
        if frame["state"] != "done":
            raise WrongAnswer(f"the turn ended as {frame['state']}")
        if frame["answer"] != self.text:
            raise WrongAnswer("the answer is not the text that was shown")
        self.end = frame
        check_marks(self.text, self.docs)


def frame_turn(event: Event) -> str:
    """Return the turn that a frame belongs to."""
    return str(event.frame.get("turn_id", ""))


def check_marks(text: str, docs: Sequence[Mapping[str, Any]]) -> None:
    """Raise ``WrongAnswer`` where a mark names no source."""
    there = {str(doc.get("n")) for doc in docs}
    if not set(_MARK.findall(text)) <= there:
        raise WrongAnswer("a mark names no source")


def marks(text: str) -> list[int]:
    """Return the numbers of the marks in an answer."""
    return [int(number) for number in _MARK.findall(text)]
