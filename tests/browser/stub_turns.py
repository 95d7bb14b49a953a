"""Turns of the stub server: a script per question, played frame by frame."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

HEARTBEAT_S = 2.0


@dataclass
class Script:
    """How the stub answers a message.

    ``pieces`` are contents of text frames; an Event between them holds the answer until it is set.
    ``cuts``: the connection breaks after the frame of this number, once each, and not before
    ``cut_when`` is set: what arrived just before a break is lost in the browser. ``mute_after``:
    after that frame the first connection stays open without a heartbeat. ``leave_after``: after
    that frame the pod says that it leaves. ``frames`` replaces it all.
    """

    pieces: Sequence[str | threading.Event] = ()
    sources: Sequence[dict[str, Any]] = ()
    cuts: Sequence[int] = ()
    cut_when: threading.Event | None = None
    mute_after: int | None = None
    leave_after: int | None = None
    error: dict[str, Any] | None = None
    frames: Sequence[dict[str, Any]] | None = None
    delay_s: float = 0.0


@dataclass
class StubTurn:
    """A turn as the stub keeps it; ``frames`` have their numbers."""

    turn_id: str
    message: str
    script: Script
    trace_id: str = "trace-1"
    state: str = "running"
    frames: list[dict[str, Any]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    muted: bool = False
    said: dict[str, Any] = field(default_factory=dict)
    """Author, name, event and handoff of a turn that no bot answers."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, kind: str, **fields: Any) -> None:
        """Store a frame under the next number."""
        with self.changed:
            head = {"type": kind, "seq": len(self.frames) + 1, "turn_id": self.turn_id}
            self.frames.append({**head, "trace_id": self.trace_id, **fields})
            self.changed.notify_all()

    def run(self) -> None:
        """Play the script to its end."""
        if self.script.frames is not None:
            for frame in self.script.frames:
                self.add(frame["type"], **{k: v for k, v in frame.items() if k != "type"})
            self.state = "done"
            return
        self.add("status", phase="retrieval", latency=0.01)
        self.add("source", docs=list(self.script.sources))
        self.add("status", phase="generation", latency=0.02)
        for piece in self.script.pieces:
            if isinstance(piece, threading.Event):
                piece.wait(timeout=30)
            elif self.state == "running":
                self.add("text", content=piece, offset=len(self.answer))
            time.sleep(self.script.delay_s)
        if self.state != "running":
            return
        if self.script.error:
            self.state = "failed"
            self.add("error", **self.script.error)
        else:
            self.end("done")

    def wait_beyond(self, seq: int) -> list[dict[str, Any]]:
        """Return the frames after a number; none when none come before a heartbeat is due."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.frames) > seq, timeout=HEARTBEAT_S)
            return self.frames[seq:]

    def end(self, state: str) -> None:
        """Write the terminal frame."""
        self.state = state
        self.add(
            "done", state=state, answer=self.answer, version=1, generation={"default": 3},
            usage={}, timings={"total": 0.42}, degraded=None, **self.said,
        )  # fmt: skip

    @property
    def answer(self) -> str:
        """The text since the last restart."""
        text = ""
        for frame in self.frames:
            if frame["type"] == "restart":
                text = ""
            elif frame["type"] == "text":
                text += frame["content"]
        return text

    def view(self, version: int) -> dict[str, Any]:
        """The turn in the form of the API."""
        docs = [doc for frame in self.frames if frame["type"] == "source" for doc in frame["docs"]]
        return {
            "turn_id": self.turn_id, "message": self.message, "state": self.state,
            "answer": self.answer if self.state != "running" else "", "sources": docs,
            "version": version if self.state != "running" else 0, "generation": {"default": 3},
            "owner": "worker-0", "attempts": 1, "usage": {}, "timings": {"total": 0.42},
            "degraded": None, "trace_id": self.trace_id,
            "error": self.script.error if self.state == "failed" else None, **self.said,
        }  # fmt: skip
