"""What a client saw of one turn: every frame with its time, every try with its end, every fault.

Nothing is repaired and nothing is left out: a frame that comes twice, out of order or with the
wrong offset is noted in ``problems``, and a try that got no stream is in ``errors``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kotaemon_node.chaos.reader.events import Event

Frame = Mapping[str, Any]

End = Literal[
    "open",
    "ended",  # the terminal frame came
    "reconnect",  # the pod said that it leaves
    "cut",  # the stream had begun and broke
    "silent",  # three heartbeats were missed
    "failed",  # no answer came: refused, or hung up before it
    "refused",  # an answer came, with an error status
    "told",  # an ``error`` frame without a number: coming back is useless
    "left",  # the client's own wish
]
ERRORS: frozenset[End] = frozenset({"failed", "refused"})
TERMINAL = frozenset({"done", "error"})


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame, when it came (``time.monotonic()``), and in which try, counted from 0."""

    at_s: float
    frame: Frame
    in_try: int


@dataclass(slots=True)
class Try:
    """One request for the turn's frames, and what became of it."""

    after: int
    """The last number seen before it; 0: the turn was posted, perhaps again."""
    began_s: float
    ended_s: float = 0.0
    status: int | None = None
    served_by: str | None = None
    end: End = "open"
    reason: str = ""
    frames: int = 0
    heartbeats: int = 0


@dataclass(slots=True)
class Reading:
    """A turn as one client saw it. Only its reader writes; others may look while it grows."""

    session_id: str
    turn_id: str
    began_s: float = 0.0
    arrivals: list[Arrival] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    text: str = ""
    """What the frames make so far; ``restart`` voids it."""
    last_seq: int = 0
    restarts: int = 0
    snapshots: int = 0
    heartbeats_s: list[float] = field(default_factory=list)
    terminal: Frame | None = None
    """The one ``done`` or ``error`` that ended the turn."""
    refusal: Mapping[str, Any] | None = None
    """The error that ended the reading without a terminal frame."""
    left: bool = False

    @property
    def over(self) -> bool:
        """Nothing more can come."""
        return self.terminal is not None or self.refusal is not None or self.left

    @property
    def state(self) -> str:
        """``done``, ``cancelled``, ``interrupted``; ``failed``; or ``""`` while it is not over."""
        if self.terminal is None:
            return ""
        return "failed" if self.terminal["type"] == "error" else str(self.terminal["state"])

    @property
    def errors(self) -> Sequence[Try]:
        """Tries that got no stream: what a client that never tries again would have shown."""
        return [one for one in self.tries if one.end in ERRORS]

    @property
    def cuts(self) -> Sequence[Try]:
        """Streams that ended without a word."""
        return [one for one in self.tries if one.end in {"cut", "silent"}]

    @property
    def complete(self) -> bool:
        """The turn was done, and nothing was wrong with its frames."""
        return self.state == "done" and not self.problems

    def frames(self, kind: str = "") -> list[Frame]:
        """Return the frames of one type, or all."""
        return [one.frame for one in self.arrivals if kind in {"", one.frame["type"]}]

    def numbered(self) -> list[Frame]:
        """Return the frames that are part of the turn: every reader must see the same ones."""
        return [one.frame for one in self.arrivals if "seq" in one.frame]

    def take(self, event: Event) -> None:
        """Note what came in the newest try, and check it."""
        place = len(self.tries) - 1
        if event.frame is None:
            self.tries[place].heartbeats += 1
            self.heartbeats_s.append(event.at_s)
            return
        frame = event.frame
        self.tries[place].frames += 1
        self._check_head(event, frame)
        if "seq" in frame:
            self._take_numbered(frame)
        elif frame["type"] == "snapshot":
            self.text, self.last_seq = frame["content"], frame["last"]
            self.snapshots += 1
        elif frame["type"] == "error":
            self.refusal = frame
        # Last: whoever looks on finds ``text`` at least as new as the frames.
        self.arrivals.append(Arrival(event.at_s, frame, place))

    def _check_head(self, event: Event, frame: Frame) -> None:
        if event.name != frame["type"]:
            self._problem(frame, f"came as event {event.name}")
        number = f"{self.turn_id}:{frame['seq']}" if "seq" in frame else ""
        if event.id != number:
            self._problem(frame, f"came with id {event.id!r}")
        if frame.get("turn_id") != self.turn_id:
            self._problem(frame, "is of another turn")
        if self.terminal is not None:
            self._problem(frame, "came after the end")

    def _take_numbered(self, frame: Frame) -> None:
        seq = frame["seq"]
        if seq != self.last_seq + 1:
            what = "a repeat" if seq <= self.last_seq else "a gap"
            self._problem(frame, f"came after {self.last_seq}: {what}")
        self.last_seq = max(seq, self.last_seq)
        match frame["type"]:
            case "text":
                if frame["offset"] != len(self.text):
                    self._problem(frame, f"has offset {frame['offset']}, not {len(self.text)}")
                self.text += frame["content"]
            case "restart":
                self.text = ""
                self.restarts += 1
            case "done":
                if frame["answer"] != self.text:
                    self._problem(frame, "has an answer that is not the text of its frames")
                self.terminal = frame
            case "error":
                self.terminal = frame
            case _:
                pass

    def _problem(self, frame: Frame, what: str) -> None:
        self.problems.append(f"{frame['type']} {frame.get('seq', '-')} {what}")


def first_text_s(arrivals: Sequence[Arrival], *, after: int) -> float | None:
    """Return when the first text came that was written after a takeover behind number ``after``."""
    taken = False
    for one in arrivals:
        frame = one.frame
        if frame.get("seq", 0) <= after:
            continue
        taken = taken or frame.get("phase") == "taken_over"
        if taken and frame["type"] == "text":
            return one.at_s
    return None
