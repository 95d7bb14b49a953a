"""Facts of all clients in one file, written as they come."""

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from kotaemon_node.chaos.reader import Arrival, Reading
from kotaemon_node.proof import Fact, as_line, from_line
from kotaemon_node.proof.facts import Acknowledged, Ended, Gone, How, Kept, Read, Seen, Sent


class Notes:
    """The log of a run; from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w", encoding="utf-8")
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._file.close()

    def add(self, fact: Fact) -> None:
        """Write a fact down."""
        line = as_line(fact)
        with self._lock:
            # Of a run that was stopped some clients are not home yet, and nobody judges it.
            if not self._file.closed:
                self._file.write(line)

    def facts(self) -> Iterator[Fact]:
        """Yield what was written so far."""
        with self._lock:
            self._file.flush()
        with self.path.open(encoding="utf-8") as lines:
            for line in lines:
                yield from_line(line)


class Witness:
    """Notes what one client sees of one turn, over all its connections."""

    def __init__(self, notes: Notes, *, client: str, session: str, turn: str, message: str) -> None:
        self._notes = notes
        self._place = (client, session, turn)
        self._message = message
        self._acknowledged = False

    def sends(self) -> None:
        """The client is about to send the turn."""
        self._notes.add(Sent(time.monotonic(), *self._place, self._message))

    def accepted(self) -> None:
        """Something of the turn came back."""
        if not self._acknowledged:
            self._acknowledged = True
            self._notes.add(Acknowledged(time.monotonic(), *self._place, self._message))

    def sees(self, arrival: Arrival, *, served_by: str | None) -> None:
        """A frame came; what belongs to no turn is left out."""
        frame = arrival.frame
        if "seq" not in frame and frame["type"] != "snapshot":
            return
        if "seq" in frame:
            self.accepted()
        self._notes.add(
            Seen(
                arrival.at_s,
                *self._place,
                frame["type"],
                frame.get("seq"),
                text=_text(frame),
                offset=frame.get("offset"),
                last=frame.get("last", 0),
                sources=tuple((doc["kb"], doc["generation"]) for doc in frame.get("docs", ())),
                served_by=served_by,
            )
        )

    def ends(self, reading: Reading) -> How:
        """The client follows no more; whoever was never let in has nothing to miss."""
        how: How = "gave_up"
        if reading.terminal is not None:
            how = "terminal"
        elif reading.refusal is not None and reading.refusal.get("code") == "gone":
            how = "gone"
            client, session, _ = self._place
            self._notes.add(Gone(time.monotonic(), client, session))
        elif reading.left or not reading.last_seq:
            how = "left"
        self._notes.add(Ended(time.monotonic(), *self._place, how))
        return how


def history(
    answer: Mapping[str, Any], *, client: str, final: bool, served_by: str | None, at_s: float
) -> Read:
    """Return what ``GET /v1/sessions/{sid}`` answered as a fact."""
    return Read(
        at_s,
        client,
        answer["session_id"],
        answer["epoch"],
        tuple(
            Kept(
                turn["turn_id"],
                turn["message"],
                turn["state"],
                turn["answer"],
                turn["version"],
                turn["generation"],
            )
            for turn in answer["turns"]
        ),
        final=final,
        served_by=served_by,
    )


def _text(frame: Mapping[str, Any]) -> str:
    return str(frame.get("answer" if frame["type"] == "done" else "content", ""))
