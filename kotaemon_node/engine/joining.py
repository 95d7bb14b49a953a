"""Joining another turn that makes the same answer now: its text, shown as it comes.

The other turn may be another session's of the same tenant. Nothing of it is shown but documents and
text, which are what this turn would have made itself.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.answer_draft import Answering
from kotaemon_node.ports.frame_log import FrameLog
from kotaemon_node.ports.hot_answers import HotAnswer

_log = structlog.get_logger(__name__)

# A signal may be lost: so the log is read again soon, then more rarely.
_FIRST_LOOK_S: Final = 0.02
_LOOK_S_MAX: Final = 0.25


@dataclass(frozen=True, slots=True)
class Joining:
    """Follows authors for turns of this pod."""

    frames: FrameLog
    patience_s: float = limits.HOT_FOLLOW_S
    """An author that shows nothing for so long is left."""

    def joined(self, turn: Answering, author: TurnKey, *, generation: int) -> HotAnswer | None:
        """Show what ``author`` shows, to its end; None: it came to no answer of ``generation``.

        What was shown until then stays as the beginning of the answer, as after a takeover.
        """
        copy = _Copy(turn, generation)
        try:
            self._follow(turn, author, copy)
        except StoreUnavailable as error:
            _log.info("author_left", reason=error.code)
        if copy.answer is None:
            turn.out.rewind()
        return copy.answer

    def _follow(self, turn: Answering, author: TurnKey, copy: "_Copy") -> None:
        woken = threading.Event()

        def wake(turn_id: str, _seq: int) -> None:
            if turn_id in {author.turn_id, ""}:
                woken.set()

        position, seen_s, pause_s = 0, turn.clock.monotonic_s(), _FIRST_LOOK_S
        end_watch = self.frames.watch(author.session, wake)
        try:
            with turn.out.stop.breaking_off(woken.set):
                while not copy.ended():
                    woken.clear()
                    frames = self.frames.read(
                        author, after=position, limit=limits.FRAMES_READ_MAX, trace_id=""
                    ).frames
                    for frame in frames:
                        position = frame.seq or position
                        copy.take(frame)
                    turn.out.stop.check()
                    now_s = turn.clock.monotonic_s()
                    if frames:
                        seen_s, pause_s = now_s, _FIRST_LOOK_S
                    left_s = seen_s + self.patience_s - now_s
                    if copy.ended() or left_s <= 0:
                        return
                    if not turn.clock.wait(woken, min(pause_s, left_s)):
                        pause_s = min(2 * pause_s, _LOOK_S_MAX)
        finally:
            end_watch()


class _Copy:
    """The answer of an author as far as it was taken over."""

    def __init__(self, turn: Answering, generation: int) -> None:
        self._turn = turn
        self._generation = generation
        self._text = ""
        self._docs: tuple[Mapping[str, Any], ...] = ()
        self._begun = self._faq = False
        self._over = False
        self.answer: HotAnswer | None = None
        """The whole answer, at the end."""

    def ended(self) -> bool:
        """Tell whether nothing more is to be taken."""
        return self._over

    def take(self, frame: Frame) -> None:
        """Show what the frame says of the answer."""
        if self._over:
            return
        out = self._turn.out
        self._faq = self._faq or frame.fields.get("phase") == "faq"
        match frame.type:
            case "source":
                self._begin()
                self._docs = tuple(frame.fields["docs"])
                if any(doc.get("generation") != self._generation for doc in self._docs):
                    self._over = True  # its pod has come to another generation in between
                else:
                    out.source(self._docs)
            case "text":
                self._begin()
                self._text += frame.fields["content"]
                out.text(frame.fields["content"])
            case "restart":
                self._text = ""
                out.restart()
            case "tool_call" | "error" | "handoff":
                self._over = True  # what a tool said is for its own turn
            case "done":
                self._over = True
                self._end(frame.fields)
            case _:
                pass

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._turn.phase("remembered")

    def _end(self, fields: Mapping[str, Any]) -> None:
        whole = fields.get("state") == State.DONE.value and not fields.get("degraded")
        same = fields.get("generation") == {self._turn.kb: self._generation}
        if whole and same and self._text:
            self.answer = HotAnswer(
                text=self._text,
                docs=self._docs,
                generation=self._generation,
                usage=dict(fields.get("usage") or {}),
                unanswered=fields.get("unanswered"),
                faq=self._faq,
            )
