"""Whatever a message holds, it is recognised without an error and in linear time."""

import datetime
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kotaemon_node.adapters.intents.described import parse_intents
from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.domain.intent_book import Condition, Correction, IntentBook, IntentRule, SlotRule
from kotaemon_node.engine.intents import IntentContext, Intents
from kotaemon_node.engine.intents.checking import problems
from kotaemon_node.engine.intents.features import sketch
from kotaemon_node.engine.intents.numerals import number_of
from kotaemon_node.engine.intents.references import referent
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.understanding.topics import Exchange
from kotaemon_node.ports.tools import Caller
from tests.fakes.encoder import HashingEncoder
from tests.unit.test_intents_examples import BOOK as EXAMPLES
from tests.unit.test_intents_examples import recogniser

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "intents.md"
BOOK = IntentBook(
    intents=(
        *EXAMPLES.intents,
        # Patterns that take time without bound where an engine tracks back.
        IntentRule("evil", patterns=(r"(a+)+$", r"(a|aa)+b", r"(.*)*x", r"(?:\w+\s?)+!")),
        IntentRule("talk", keywords=("order", "订单", "c++"), unless=("(不|别)+要",)),
    ),
    slots={
        "order": SlotRule("order", patterns=(r"(?:order|订单)\s*#?(\d+)|n(o)?",), form=r"\d+"),
        "day": SlotRule("day", "date"),
        "sum": SlotRule("sum", "amount"),
        "count": SlotRule("count", "integer", least=0),
        "size": SlotRule("size", "number"),
        "mail": SlotRule("mail", "email"),
        "kind": SlotRule("kind", "choice", values={"mug": ("cup", "杯子")}),
    },
    corrections=(Correction(Condition(text="(x+)+y", topic="a"), "talk"),),
)
PIECES = st.sampled_from(
    ["order 1003", "订单", "三百五十", "万亿", "$12.50", "1,200", "12月31日", "2026-02-31",
     "明天", "Feb 29", "点", "〇", "负", "-", " ", "\u200b", "\ud800", "🙂", "\x00", "ﬁ", "１２",
     "a@b.cd", "yuan", "下周三", "½", "²", "٣", "the second one", "它", "第二个"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=12).map("".join))
TODAY = datetime.date(2024, 2, 29)  # what is a year away from it is no date


@pytest.fixture(scope="module")
def intents() -> Intents:
    return Intents(BOOK, others=(recogniser(HashingEncoder(by_language=True), BOOK),))


def recognised(intents: Intents, text: str, **context: Any) -> Any:
    said = IntentContext(Caller("t", "s"), today=TODAY, **context)
    return intents.recognise(text, context=said, stop=Stop())


@given(text=TEXTS, asked=st.sampled_from(["", *BOOK.slots]))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_is_recognised_and_its_values_are_legal(
    intents: Intents, text: str, asked: str
) -> None:
    found = recognised(intents, text, asked=asked)

    assert 0.0 <= found.confidence <= 1.0
    assert found.intent is None or found.confidence >= 0.5
    if "day" in found.slots:
        datetime.date.fromisoformat(found.slots["day"])
    assert re.fullmatch(r"\d+", found.slots.get("order", "0"))
    assert 0 <= found.slots.get("count", 0) <= 10**15
    referent(
        text,
        DialogueState(entities={"kind": ("mug",)}),
        [Exchange(text, text)],
        reader=intents.slots,
        wanted=("kind", "order"),
    )


@given(text=TEXTS)
@settings(max_examples=100, deadline=None)
def test_numbers_and_sketches_of_any_text(text: str) -> None:
    number_of(text)
    assert abs(float(sketch(text) @ sketch(text)) - 1.0) < 1e-3 or not sketch(text).any()


@pytest.mark.parametrize(
    "text",
    ["a" * 32_000, "aaaa " * 6_000, "1" * 32_000, "1," * 16_000, "三" * 32_000, "@" * 32_000,
     "a@" * 16_000, "a." * 16_000, "$1" * 16_000, "订单" * 16_000, "12月" * 10_000, "！" * 32_000],
)  # fmt: skip
def test_no_text_takes_long(intents: Intents, text: str) -> None:
    recognised(intents, "warm")
    began = time.perf_counter()

    recognised(intents, text)

    # A few milliseconds; tracking back would take longer than the sun has.
    assert time.perf_counter() - began < 30


def test_the_file_of_the_page_is_a_legal_one() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)

    book = parse_intents(text.encode(), check=problems)

    found = recognised(Intents(book), "status of my order 100312?")
    assert (found.intent, found.slots) == ("query_order", {"order_id": "100312"})
    assert recognised(Intents(book), "帮我查订单1003的物流").slots == {"order_id": "1003"}
    assert recognised(Intents(book), "Where is my order?", previous=("query_refund",)).intent == (
        "query_refund"
    )
