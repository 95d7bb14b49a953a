"""Turns that no bot answers, and how a turn of a bot asks for a person.

Whether a person has the session is read with the turn's work, under its fence: who begins a turn
after the handoff sees it, and who began one before is fenced by it (``ports.handoffs``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
import structlog

from kotaemon_node.domain.acting_limits import HANDOFF_REASON_CHARS_MAX
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.handoff import BEGUN, ENDED, By, Handoff
from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.domain.session import SessionKey, Turn
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.given import is_alone
from kotaemon_node.engine.wanting_person import wants_person
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.handoffs import Handoffs
from kotaemon_node.ports.sessions import Ending, Work
from kotaemon_node.telemetry.acting_metrics import ActingMetrics

_log = structlog.get_logger(__name__)

_COMES: Final[Mapping[Language, str]] = {
    "en": "I am handing this conversation over to a person, who can read what was said so far.",
    "zh": "我正在把对话转给人工客服，对方可以看到此前的对话。",
}
_RESULT: Final = "result:"


@dataclass(frozen=True, slots=True)
class Persons:
    """What a turn does about people, before a bot is asked and behind its answer."""

    now_s: Callable[[], float] = lambda: 0.0
    by_words: bool = True
    """Whether a message that asks for a person gets one."""
    handoffs: Handoffs | None = None
    """Counts the sessions that people have."""
    metrics: ActingMetrics | None = None

    def spoken(self, work: Work, out: FrameWriter) -> Draft | None:
        """Write what is not the bot's to say; None where a bot is to answer."""
        said = work.options.get("said")
        if said:
            return _told(said, work, out)
        if work.session.handoff is not None:
            return Draft(spoken=True, waits=True, unanswered=False)
        if self.by_words and not is_alone(work) and wants_person(work.message):
            out.text(_COMES[language_of(work.message)])
            out.finish()
            wanted = Handoff(self.now_s(), work.message[:HANDOFF_REASON_CHARS_MAX], "words")
            return Draft(handoff=wanted, unanswered=False)
        return None

    def wanted(self, work: Work, draft: Draft, out: FrameWriter) -> Handoff | None:
        """Return the handoff that a turn ends with: its draft's, or what a tool of it answered."""
        if is_alone(work):
            return None
        if draft.spoken or draft.handoff is not None:
            return draft.handoff
        for step, result in out.journal.items():
            if step.startswith(_RESULT) and (reason := _asked_by(result)) is not None:
                return self.begun("tool", reason)
        return None

    def committed(self, key: SessionKey, turn: Turn, handoff: Handoff | None) -> None:
        """Count what a committed turn did to its session, which may be missed: it never raises."""
        if self.metrics is not None and handoff is not None:
            self.metrics.handed_off(handoff.by)
        if self.metrics is not None and turn.author:
            self.metrics.agent_message()
        if self.handoffs is None or not (turn.event or turn.handoff or turn.author):
            return
        try:
            self.handoffs.note(key, None if turn.event == ENDED else self.now_s())
        except StoreUnavailable as error:
            _log.info("handoff_not_counted", error=str(error))

    def begun(self, by: By, reason: str) -> Handoff:
        """Return a handoff that begins now."""
        return Handoff(self.now_s(), reason[:HANDOFF_REASON_CHARS_MAX], by)


def as_told(work: Work) -> Work:
    """Return ``work`` with what people said as exchanges, as the bot is to know it.

    A person answers several messages at once, and in several messages: what customers wrote and
    what people answered to it is one exchange. Events say nothing.
    """
    past = work.session.turns
    if all(turn.by_bot for turn in past):
        return work
    told: list[Turn] = []
    for turn in past:
        if turn.by_bot:
            told.append(turn)
        elif turn.author and told and not told[-1].by_bot:
            told[-1] = replace(told[-1], answer=_joined(told[-1].answer, _quoted(turn)))
        elif turn.author:
            told.append(replace(turn, answer=_quoted(turn)))
        elif turn.message and told and told[-1].handoff and not told[-1].answer:
            message = _joined(told[-1].message, turn.message)
            told[-1] = replace(told[-1], message=message, version=turn.version)
        elif turn.message:
            told.append(turn)
    return replace(work, session=replace(work.session, turns=tuple(told)))


def _joined(*texts: str) -> str:
    return "\n".join(filter(None, texts))


def _quoted(turn: Turn) -> str:
    """Return what a person said so that nobody takes it for the bot's word."""
    label = {"en": "{} (a person): {}", "zh": "{}（人工客服）：{}"}[language_of(turn.answer)]
    return label.format(turn.name, turn.answer).strip()


def event_of(handoff: Handoff | None, stored: Sequence[Frame]) -> str:
    """Return what happened last to the session with a turn, by its end or while it ran."""
    if handoff is not None:
        return BEGUN
    told = [bool(one.fields.get("active")) for one in stored if one.type == "handoff"]
    if not told:
        return ""
    return BEGUN if told[-1] else ENDED


def handoff_frames(turn: Turn, ending: Ending) -> list[Frame]:
    """Return the frame that the commit put before the terminal one, if it did."""
    if ending.handoff is None:
        return []
    fields = ending.handoff.frame()
    return [Frame("handoff", fields, turn.turn_id, turn.trace_id, ending.seq - 1)]


def _told(said: Mapping[str, Any], work: Work, out: FrameWriter) -> Draft:
    if said.get("frame") and not any(one.type == "handoff" for one in work.stored):
        out.handoff(said["frame"])
    if text := said.get("text"):
        by = {name: said[name] for name in ("author", "name") if said.get(name)}
        out.said(text, by)
    return Draft(
        spoken=True,
        author=said.get("author", ""),
        name=said.get("name", ""),
        event=said.get("event", ""),
        unanswered=False,
    )


def _asked_by(result: Any) -> str | None:
    """Return for what reason a call's journalled result asks for a person; None: it does not."""
    told = result.get("told") if isinstance(result, Mapping) else None
    if not isinstance(told, str) or '"handoff"' not in told:
        return None
    try:
        answer = orjson.loads(told)
    except ValueError:
        return None  # it was too long to be kept whole
    for one in _objects(answer):
        if one.get("handoff") is True:
            return str(one.get("reason") or "")
    return None


def _objects(answer: Any) -> Iterator[Mapping[str, Any]]:
    """Yield what a tool answered, and what lies in its ``result``."""
    if isinstance(answer, Mapping):
        yield answer
        if isinstance(inner := answer.get("result"), Mapping):
            yield inner
