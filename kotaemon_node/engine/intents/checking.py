"""What a book says that cannot be meant: bad expressions, and names that nothing has."""

from collections.abc import Iterator

from kotaemon_node.domain.intent_book import Correction, IntentBook, IntentRule, SlotRule
from kotaemon_node.engine.intents.expressions import (
    BadExpression,
    Expression,
    Keyword,
    Source,
    keyword,
)

Problem = tuple[tuple[str | int, ...], str]
"""Where in the file, as keys and places in lists, and what is wrong there."""


def problems(book: IntentBook) -> Iterator[Problem]:
    """Tell what is wrong, in the order of the file."""
    for name, slot in book.slots.items():
        yield from _slot(slot, ("slots", name))
    for rule in book.intents:
        yield from _intent(rule, book, ("intents", rule.name))
    for place, correction in enumerate(book.corrections):
        yield from _correction(correction, book, ("corrections", place))


def _slot(slot: SlotRule, at: tuple[str | int, ...]) -> Iterator[Problem]:
    yield from _expressions(slot.patterns, (*at, "patterns"))
    if slot.form:
        yield from _expressions((slot.form,), at, names=("form",))
    for value, words in slot.values.items():
        for place, word in enumerate(words):
            yield from _expressions((keyword(word),), at, names=(f"values.{value}.{place}",))
    if slot.type == "choice" and not slot.values:
        yield at, "a choice needs values"
    if slot.type != "choice" and slot.values:
        yield (*at, "values"), "only a slot of the type choice has values"
    if slot.least is not None and slot.most is not None and slot.least > slot.most:
        yield (*at, "least"), "it is more than most"


def _intent(rule: IntentRule, book: IntentBook, at: tuple[str | int, ...]) -> Iterator[Problem]:
    yield from _expressions(rule.patterns, (*at, "patterns"))
    yield from _expressions(rule.unless, (*at, "unless"))
    for field, names in (("slots", rule.slots), ("needs", rule.needs)):
        for place, name in enumerate(names):
            if name not in book.slots:
                yield (*at, field, place), f"there is no slot {name}"
    for place, name in enumerate(rule.needs):
        if rule.slots and name not in rule.slots:
            yield (*at, "needs", place), f"slots of this intent lack {name}"


def _correction(
    correction: Correction, book: IntentBook, at: tuple[str | int, ...]
) -> Iterator[Problem]:
    when = correction.when
    for name, source in (("text", when.text), ("topic", when.topic)):
        if source:
            yield from _expressions((source,), (*at, "when"), names=(name,))
    for name in when.slots:
        if name not in book.slots:
            yield (*at, "when", "slots", name), f"there is no slot {name}"


def _expressions(
    sources: tuple[Source, ...], at: tuple[str | int, ...], names: tuple[str, ...] = ()
) -> Iterator[Problem]:
    for place, source in enumerate(sources):
        try:
            Expression(source)
        except BadExpression as error:
            told = source.pattern if isinstance(source, Keyword) else source
            yield (*at, names[place] if names else place), f"{told!r:.80}: {error}"
