"""A language model is asked last, chooses from a list, and may say anything else without harm."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import LanguageModelUnavailable
from kotaemon_node.domain.intent_book import IntentBook, IntentRule
from kotaemon_node.engine.intents import IntentContext, Intents, Recognition
from kotaemon_node.engine.intents.asking import ModelRecogniser
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.understanding.asking import Adviser
from kotaemon_node.ports.language_model import ChatMessage, Usage
from kotaemon_node.ports.tools import Caller
from tests.unit.test_intents_examples import Threads

BOOK = IntentBook(
    intents=(
        IntentRule("query_order", description="Where an order is.", keywords=("parcel",)),
        IntentRule("cancel_order", examples=("cancel it",)),
    )
)


class Model:
    """Says ``answer``, or fails."""

    name = "scripted"
    continues_prefix = False

    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.asked: list[Sequence[ChatMessage]] = []

    def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        prefix: str,
        usage: Usage,
        stop: Any,
        tools: Any = (),
        sampling: Mapping[str, float] = {},
    ) -> Iterator[str]:
        self.asked.append(messages)
        if self.answer is None:
            raise LanguageModelUnavailable("away")
        usage.prompt_tokens += 90
        usage.completion_tokens += 3
        yield self.answer


def chain(model: Model) -> Intents:
    adviser = Adviser(model, clock=SystemClock(), tasks=Threads())
    return Intents(BOOK, last=ModelRecogniser(adviser, BOOK))


def context(**more: Any) -> IntentContext:
    return IntentContext(Caller("t", "s"), **more)


@pytest.mark.parametrize(
    ("answer", "intent"),
    [
        ("cancel_order", "cancel_order"),
        (" `cancel_order`.\n", "cancel_order"),
        ("none", None),
        ("I think it is cancel_order or query_order", None),
        ("delete_everything", None),
        ("x" * 5_000, None),
        ("", None),
        (None, None),
    ],
)
def test_only_a_name_of_the_list_is_taken(answer: str | None, intent: str | None) -> None:
    found = chain(Model(answer)).recognise("I changed my mind", context=context(), stop=Stop())

    assert (found.intent, found.by) == (intent, "model" if intent else "")
    if intent:
        assert found.usage
        assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (90, 3)


def test_it_is_asked_only_when_nobody_else_is_sure_and_between_allowed_intents() -> None:
    model = Model("cancel_order")
    intents = chain(model)

    assert intents.recognise("my parcel", context=context(), stop=Stop()).by == "rules"
    assert not model.asked
    only = context(allowed=frozenset({"query_order", "loyalty"}), examples={"loyalty": ("积分",)})
    assert intents.recognise("我改主意了", context=only, stop=Stop()).intent is None
    asked = model.asked[0][0].content
    assert "query_order: Where an order is." in asked
    assert 'loyalty: "积分"' in asked
    assert "cancel_order" not in asked
    intents.recognise("anything", context=context(allowed=frozenset()), stop=Stop())
    assert len(model.asked) == 1


class Judge:
    """Sees one intent, by so much."""

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence

    def recognise(self, text: str, **_: Any) -> Recognition:
        candidates = (("cancel_order", self.confidence),)
        return Recognition("cancel_order", self.confidence, by="examples", candidates=candidates)


@pytest.mark.parametrize(("confidence", "asked"), [(0.05, 0), (0.3, 1), (0.9, 0)])
def test_it_is_asked_where_examples_are_neither_sure_nor_without_hope(
    confidence: float, asked: int
) -> None:
    model = Model("query_order")
    adviser = Adviser(model, clock=SystemClock(), tasks=Threads())
    last = ModelRecogniser(adviser, BOOK)

    Intents(BOOK, others=(Judge(confidence),), last=last).recognise(
        "hm", context=context(), stop=Stop()
    )

    assert len(model.asked) == asked
