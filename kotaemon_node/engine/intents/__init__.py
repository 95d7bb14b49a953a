"""What a message wants: recognisers asked in order, slots, and corrections."""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.intent_book import EMPTY_BOOK, IntentBook, IntentRule
from kotaemon_node.engine.intents.corrections import Corrections
from kotaemon_node.engine.intents.rules import RuleRecogniser
from kotaemon_node.engine.intents.slots import SlotReader
from kotaemon_node.ports.intents import (
    NOTHING,
    SURE,
    IntentContext,
    Recogniser,
    Recognition,
)
from kotaemon_node.ports.runtime import StopSignal

__all__ = ["NOTHING", "SURE", "IntentContext", "Intents", "Recogniser", "Recognition"]

_log = structlog.get_logger(__name__)


class Intents:
    """``ports.intents.Recogniser``: the rules of a book, then others in turn. Thread safe.

    The first that is sure of an intent that the caller allows is believed. Nobody sure: no intent,
    and the message is a question to the documents. Corrections have the last word.
    ``last`` takes long, so it is asked only where the others see a chance, or cannot judge.
    """

    def __init__(
        self,
        book: IntentBook = EMPTY_BOOK,
        *,
        others: Sequence[Recogniser] = (),
        last: Recogniser | None = None,
    ) -> None:
        """``others`` in the order in which they are asked. Raises ``BadExpression``."""
        self._book = book
        self._recognisers = (RuleRecogniser(book.intents), *others)
        self._corrections = Corrections(book.corrections)
        self._slots = SlotReader(book.slots)
        self._last = last

    @property
    def slots(self) -> SlotReader:
        """What reads values from messages."""
        return self._slots

    def rule(self, intent: str) -> IntentRule | None:
        """Return what the book says of an intent; None where only plugins know it."""
        return self._book.rule(intent)

    def recognise(self, text: str, *, context: IntentContext, stop: StopSignal) -> Recognition:
        """See the port."""
        if context.allowed is not None and not context.allowed:
            return self._with_slots(NOTHING, text, context)
        found = self._with_slots(self._believed(text, context, stop), text, context)
        corrected = self._corrections.corrected(found, text, context=context)
        if corrected.intent != found.intent:
            # The other intent may use slots that the first one does not.
            return self._with_slots(corrected, text, context)
        return corrected

    def _believed(self, text: str, context: IntentContext, stop: StopSignal) -> Recognition:
        candidates: tuple[tuple[str, float], ...] = ()
        usage = None
        for recogniser in (*self._recognisers, self._last):
            if recogniser is None or (recogniser is self._last and _hopeless(candidates)):
                continue
            found = recogniser.recognise(text, context=context, stop=stop)
            usage = found.usage or usage
            if found.intent is None or not context.allows(found.intent):
                candidates = candidates or found.candidates
                continue
            if found.confidence >= SURE:
                return replace(found, usage=usage)
            candidates = found.candidates or candidates
        unsure = max((confidence for _, confidence in candidates), default=0.0)
        return replace(
            NOTHING,
            confidence=unsure,
            candidates=candidates[: limits.INTENT_CANDIDATES_MAX],
            usage=usage,
        )

    def _with_slots(self, found: Recognition, text: str, context: IntentContext) -> Recognition:
        """Add the values in the message: those that the intent uses, all where it says none."""
        rule = self._book.rule(found.intent) if found.intent else None
        only = rule.slots if rule and rule.slots else None
        read = self._slots.read(text, only=only, asked=context.asked, today=context.today)
        return replace(
            found,
            slots={**{name: values[-1] for name, values in read.items()}, **found.slots},
            several={name: values for name, values in read.items() if len(values) > 1},
        )


def _hopeless(candidates: Sequence[tuple[str, float]]) -> bool:
    """Tell whether somebody judged, and sees no intent that is likely at all."""
    return bool(candidates) and max(it for _, it in candidates) < limits.INTENT_CHANCE_MIN
