"""Rules that change what was recognised: `query_order` after a refund becomes `query_refund`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kotaemon_node.domain.intent_book import Condition, Correction
from kotaemon_node.engine.intents.expressions import Expression, plain
from kotaemon_node.ports.intents import SURE, IntentContext, Recognition


@dataclass(frozen=True, slots=True)
class _Prepared:
    correction: Correction
    text: Expression | None
    topic: Expression | None


class Corrections:
    """The corrections of a book, in its order. Thread safe."""

    def __init__(self, corrections: Sequence[Correction]) -> None:
        """Raises ``BadExpression``."""
        self._all = tuple(
            _Prepared(it, _expression(it.when.text), _expression(it.when.topic))
            for it in corrections
        )

    def corrected(self, found: Recognition, text: str, *, context: IntentContext) -> Recognition:
        """Return what the first correction that applies makes of ``found``.

        An intent that the caller does not allow is never put in its place.
        """
        for one in self._all:
            to = one.correction.intent
            if (to is None or context.allows(to)) and _applies(one, found, text, context):
                return replace(
                    found,
                    intent=to,
                    # It is the operator who says so now.
                    confidence=max(found.confidence, SURE) if to else found.confidence,
                    slots={**found.slots, **one.correction.slots},
                    corrected=found.intent or "none",
                )
        return found


def _expression(source: str) -> Expression | None:
    return Expression(source) if source else None


def _applies(one: _Prepared, found: Recognition, text: str, context: IntentContext) -> bool:
    when = one.correction.when
    known = {**context.caller.slots, **found.slots}
    return (
        (not when.intents or found.intent in when.intents)
        and (when.below is None or found.confidence < when.below)
        and _holds(when.slots, known)
        and _holds(when.context, context.caller.context)
        and _was(when, context.previous)
        and (one.topic is None or one.topic.found(plain(context.topic)))
        and (one.text is None or one.text.found(plain(text)))
    )


def _was(when: Condition, previous: Sequence[str]) -> bool:
    return not when.previous or bool(set(when.previous) & set(previous[-when.within :]))


def _holds(wanted: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    for name, value in wanted.items():
        if isinstance(value, bool):
            has = known.get(name) not in (None, "", False)
            if has is not value:
                return False
        elif known.get(name) != value:
            return False
    return True
