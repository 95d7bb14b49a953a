"""What a finished turn, and what people say of it, add to analytics.

Error of the counts: a turn is counted behind its commit, before its events count as sent, so that
one whose pod died in between is counted by another. Told again within ``ANALYTICS_COUNTED_S`` it
adds nothing. What is missing are turns of sessions that were deleted within moments, and those of
a time when the store was full.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import StoreFull, StoreUnavailable
from kotaemon_node.domain.handoff import BEGUN
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE
from kotaemon_node.domain.session import Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.profile import DEFAULT_NAME
from kotaemon_node.ports.analytics import Analytics, Tally
from kotaemon_node.ports.faq_drafts import FaqDrafts, Unmet
from kotaemon_node.ports.feedback import Feedback

_log = structlog.get_logger(__name__)

Outcome = Literal["counted", "failed"]

FIRST_TEXT_MS: Final = (25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)
TOTAL_MS: Final = (100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000)
"""Upper ends of the buckets of both times; one more, ``inf``, is above."""
COST_UNIT: Final = 1_000_000
"""Costs are counted in millionths."""

# Numbers of cards, orders and telephones, and addresses of mail: nobody's in a list of questions.
_ADDRESS: Final = re.compile(r"\S+@\S+")
_LONG_NUMBER: Final = re.compile(r"\+?\d(?:[ -]?\d){5,}")
_END: Final = " \t.,;:!?。，；：！？…"


class Tallying:
    """Counts finished turns and what people say of them. Thread safe."""

    def __init__(
        self,
        analytics: Analytics,
        *,
        with_questions: bool,
        count: Callable[[Outcome], None],
        drafts: FaqDrafts | None = None,
    ) -> None:
        """``drafts`` are told of questions that were not answered well, where words are kept."""
        self._drafts = drafts if with_questions else None
        self._analytics = analytics
        self._with_questions = with_questions
        self._count = count

    def turn(self, key: TurnKey, *, epoch: str, turn: Turn) -> bool:
        """Count a finished turn; False where that has to be tried again. Never raises."""
        tally = tally_of(key, epoch=epoch, turn=turn, with_question=self._with_questions)
        if tally.unanswered:
            self._draft(key, turn, down=False)
        return self._add(tally)

    def feedback(
        self, key: TurnKey, turn: Turn, *, said: Feedback, before: Feedback | None
    ) -> None:
        """Count a rating. Never raises: what was said is kept with the session in any case."""
        self._add(tally_of_feedback(key, turn, said=said, before=before))
        if said.rating == "down" and turn.by_bot:
            self._draft(key, turn, down=True)

    def _draft(self, key: TurnKey, turn: Turn, *, down: bool) -> None:
        """Keep a question for people to answer; losing one is no harm."""
        question = shown_question(turn.message)
        if self._drafts is None or not question:
            return
        kb = next(iter(turn.generation), DEFAULT_KNOWLEDGE_BASE)
        unmet = Unmet(key, kb, question, turn.version, turn.created_at, down)
        try:
            self._drafts.note(unmet)
        except Exception as error:  # noqa: BLE001 - it must not keep back the turn's events
            _log.warning("draft_not_noted", error=str(error))

    def _add(self, tally: Tally) -> bool:
        try:
            self._analytics.add(tally)
        except StoreUnavailable as error:
            self._count("failed")
            # A store that is full takes nothing for a while: turns must not wait for it.
            return isinstance(error, StoreFull)
        except Exception:  # noqa: BLE001 - a bug in counting must not keep back the turn's events
            _log.exception("turn_not_counted")
            self._count("failed")
        else:
            self._count("counted")
        return True


def tally_of(key: TurnKey, *, epoch: str, turn: Turn, with_question: bool) -> Tally:
    """Return what a finished turn counts."""
    done = turn.state is State.DONE and not turn.origin  # what nobody asked answers nothing
    counts = {
        "sessions": int(turn.version == 1),
        "handoffs": int(turn.event == BEGUN),
    }
    if not turn.by_bot:
        # People's turns are none of the bot's: they would change every share of its answers.
        counts |= {"agent_messages": int(bool(turn.author)), "with_person": int(turn.handoff)}
        return _tally(key, epoch=epoch, turn=turn, counts=counts)
    counts |= {
        "turns": 1,
        turn.state.value: 1,
        "answered": int(done and not turn.unanswered),
        "unanswered": int(done and turn.unanswered),
        "degraded": int(bool(turn.degraded)),
        "cached": int(turn.cached),
        "faq": int(turn.faq),
        "prompt_tokens": int(turn.usage.get("prompt_tokens") or 0),
        "completion_tokens": int(turn.usage.get("completion_tokens") or 0),
        "cost": round(float(turn.usage.get("cost") or 0.0) * COST_UNIT),
    }
    counts |= _time("first_text", turn.timings.get("first_text"), FIRST_TEXT_MS)
    counts |= _time("total", turn.timings.get("total"), TOTAL_MS)
    question = normal_question(turn.message) if with_question else ""
    unanswered = done and turn.unanswered
    return _tally(
        key, epoch=epoch, turn=turn, counts=counts, question=question, unanswered=unanswered
    )


def _tally(
    key: TurnKey,
    *,
    epoch: str,
    turn: Turn,
    counts: Mapping[str, int],
    question: str = "",
    unanswered: bool = False,
) -> Tally:
    return Tally(
        tenant=key.session.tenant,
        at=datetime.fromtimestamp(turn.created_at, UTC),
        profile=turn.profile or DEFAULT_NAME,
        once=f"turn {key.session.session_id} {epoch} {turn.turn_id}",
        counts=counts,
        question=question,
        unanswered=unanswered,
    )


def tally_of_feedback(
    key: TurnKey, turn: Turn, *, said: Feedback, before: Feedback | None
) -> Tally:
    """Return what a rating counts, in place of the one before; on the day of the turn."""
    counts: dict[str, int] = {said.rating: 1}
    if before is not None:
        counts[before.rating] = counts.get(before.rating, 0) - 1
    return Tally(
        tenant=key.session.tenant,
        at=datetime.fromtimestamp(turn.created_at, UTC),
        profile=turn.profile or DEFAULT_NAME,
        once=f"feedback {key.session.session_id} {turn.turn_id} {said.at} {said.rating}",
        counts=counts,
    )


def _time(name: str, duration_s: float | None, buckets_ms: tuple[int, ...]) -> dict[str, int]:
    """Return count, sum, sum of squares (ms²) and bucket of a time."""
    if duration_s is None:
        return {}
    ms = round(duration_s * 1000)
    bucket = next((str(end) for end in buckets_ms if ms <= end), "inf")
    return {
        f"{name}_n": 1,
        f"{name}_ms": ms,
        f"{name}_ms2": ms * ms,
        f"{name}_le_{bucket}": 1,
    }


def normal_question(message: str) -> str:
    """Return a question as it is counted: alike where only case, blanks and the end differ."""
    return shown_question(message, end=_END).casefold()


def shown_question(message: str, *, end: str = "") -> str:
    """Return a question on one line, bounded, without addresses and long numbers."""
    text = unicodedata.normalize("NFKC", message[: limits.ANALYTICS_QUESTION_CHARS_MAX * 4])
    text = " ".join(_LONG_NUMBER.sub("#", _ADDRESS.sub("@", text)).split())
    return text[: limits.ANALYTICS_QUESTION_CHARS_MAX].strip(f" {end}")
