"""The parts of a turn's life in which a kill can fall: how one is aimed at, how one is told."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from kotaemon_node.chaos.reader.reading import Frame
from kotaemon_node.chaos.store import (
    CLAIMED,
    COMMITTED,
    TEXT_STORED,
    TOOL_BEGUN,
    CommandWatch,
    StoredTurn,
)
from kotaemon_node.chaos.writers import Talk, Writers

Phase = Literal["before_text", "within_text", "tool_call", "text_to_commit", "commit_to_event"]
PHASES: Final[Mapping[Phase, str]] = {
    "before_text": "before the first text",
    "within_text": "within the text",
    "tool_call": "during a tool call",
    "text_to_commit": "between last text and commit",
    "commit_to_event": "between commit and event",
}
# Every second kill falls within the text, where most of a turn's time passes.
_WEIGHTS: Final[Mapping[Phase, int]] = {
    "before_text": 2,
    "within_text": 5,
    "tool_call": 2,
    "text_to_commit": 1,
    "commit_to_event": 2,
}
_AIM_S: Final[Mapping[Phase, float]] = {
    "before_text": 10.0,
    "within_text": 10.0,
    "tool_call": 6.0,
    "text_to_commit": 6.0,
    "commit_to_event": 10.0,
}
_ANSWERS = 20
_PAUSE_S = 0.05
_LOOK_S = 0.002


def draw(chance: random.Random) -> Phase:
    """Return the phase that the next kill aims at."""
    return chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]


class Aim:
    """Waits for a turn of these writers in one phase; ``aim`` returns it and its owner's name."""

    def __init__(self, writers: Writers, *, quiet_s: float, tool_s: float) -> None:
        """``quiet_s``: a model that said nothing for so long has said all; 0: no such pause.

        ``tool_s``: how long tools act; 0: there are none.
        """
        self._writers = writers
        self._quiet_s = quiet_s
        self._tool_s = tool_s

    def aim(
        self, phase: Phase, watch: CommandWatch, chance: random.Random
    ) -> tuple[Talk, str] | None:
        """Return when a turn is in the phase; None where none came. The name may be empty."""
        if (phase == "text_to_commit" and not self._quiet_s) or (
            phase == "tool_call" and not self._tool_s
        ):
            phase = "within_text"
        deadline_s = time.monotonic() + _AIM_S[phase]
        if phase == "text_to_commit":
            return self._quiet(deadline_s)
        skipped = chance.randint(0, self._texts()) if phase == "within_text" else 0
        pause_s = chance.uniform(0, self._tool_s * 0.7) if phase == "tool_call" else 0.0
        pattern = _PATTERNS[phase]
        last: tuple[Talk, str] | None = None
        # Where nothing more comes the last one will do.
        while skipped >= 0 and time.monotonic() < deadline_s:
            wait_s = deadline_s - time.monotonic() if last is None else _PAUSE_S
            moment = watch.next(pattern, timeout_s=wait_s)
            if moment is None:
                break
            talk = self._writers.latest(moment.session)
            if talk is not None:
                last = talk, moment.owner
                skipped -= 1
        if last is not None:
            time.sleep(pause_s)
        return last

    def _texts(self) -> int:
        """Return how many pieces of text an answer has about now."""
        counts = sorted(
            len(talk.whole().frames("text")) for talk in self._writers.finished(_ANSWERS)
        )
        return counts[len(counts) // 2] if counts else 0

    def _quiet(self, deadline_s: float) -> tuple[Talk, str] | None:
        while time.monotonic() < deadline_s:
            now_s = time.monotonic()
            for talk in self._writers.open():
                arrivals = talk.whole().arrivals
                if not arrivals or arrivals[-1].frame["type"] != "text":
                    continue
                if now_s - arrivals[-1].at_s > self._quiet_s and talk.open:
                    return talk, ""
            time.sleep(_LOOK_S)
        return None


_PATTERNS: Final = {
    "before_text": CLAIMED,
    "within_text": TEXT_STORED,
    "tool_call": TOOL_BEGUN,
    "commit_to_event": COMMITTED,
}


def phase_of(stored: StoredTurn, frames: Sequence[Frame], *, answer: str) -> Phase:
    """Return where a turn stood that had so much in the store; ``answer``: what became of it."""
    if stored.state == "committed":
        return "commit_to_event"
    text, calls = "", 0
    for frame in (one for one in frames if 0 < one.get("seq", 0) <= stored.last_seq):
        handler: Callable[[Frame, str], str] = _TEXTS.get(frame["type"], lambda _, so_far: so_far)
        text = handler(frame, text)
        if frame["type"] == "tool_call":
            calls += 1 if frame.get("state") == "started" else -1
    if calls > 0:
        return "tool_call"
    if not text:
        return "before_text"
    return "text_to_commit" if text == answer else "within_text"


_TEXTS: Final[Mapping[str, Callable[[Frame, str], str]]] = {
    "text": lambda frame, so_far: so_far + str(frame["content"]),
    "restart": lambda *_: "",
}
