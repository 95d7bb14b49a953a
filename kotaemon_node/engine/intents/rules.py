"""The recogniser of rules: keywords and regular expressions that an operator wrote.

Of several intents whose rules match the one with the longest match is meant: "cancel my order" says
more than "order". Where two match equally long, neither is sure.
"""

from collections.abc import Sequence
from typing import Final

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.intent_book import IntentRule
from kotaemon_node.engine.intents.expressions import (
    Expression,
    Expressions,
    Source,
    keyword,
    plain,
)
from kotaemon_node.ports.intents import NOTHING, IntentContext, Recognition
from kotaemon_node.ports.runtime import StopSignal

_ALONE: Final = 1.0
_AMONG: Final = 0.9
"""Confidence of the longest match, where other intents match as well."""
_EVEN: Final = 0.4
"""Of one of several that match equally long."""


class RuleRecogniser:
    """``ports.intents.Recogniser`` by keywords and patterns; takes linear time."""

    def __init__(self, rules: Sequence[IntentRule]) -> None:
        """Raises ``BadExpression``."""
        told: list[tuple[str, Source]] = []
        for rule in rules:
            told += [(rule.name, keyword(words)) for words in rule.keywords]
            told += [(rule.name, pattern) for pattern in rule.patterns]
        self._names = [name for name, _ in told]
        self._all = Expressions([expression for _, expression in told])
        self._unless = {
            rule.name: tuple(Expression(it) for it in rule.unless) for rule in rules if rule.unless
        }

    def recognise(self, text: str, *, context: IntentContext, stop: StopSignal) -> Recognition:
        """See the port."""
        searched = plain(text)
        longest: dict[str, int] = {}
        for number, (start, end) in self._all.spans(searched).items():
            name, length = self._names[number], end - start
            if context.allows(name):
                longest[name] = max(length, longest.get(name, 0))
        for name in [it for it in longest if it in self._unless]:
            if any(expression.found(searched) for expression in self._unless[name]):
                del longest[name]
        if not longest:
            return NOTHING
        ordered = sorted(longest, key=lambda name: (-longest[name], name))
        best = ordered[0]
        even = len(ordered) > 1 and longest[ordered[1]] == longest[best]
        confidence = _EVEN if even else _AMONG if len(ordered) > 1 else _ALONE
        rest = [(name, confidence * longest[name] / longest[best]) for name in ordered[1:]]
        candidates = ((best, confidence), *rest)[: limits.INTENT_CANDIDATES_MAX]
        return Recognition(best, confidence, by="rules", candidates=tuple(candidates))
