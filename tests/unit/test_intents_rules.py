"""Rules recognise what an operator wrote: keywords, patterns, slots and corrections."""

import datetime
from typing import Any

import pytest

from kotaemon_node.domain.intent_book import Condition, Correction, IntentBook, IntentRule, SlotRule
from kotaemon_node.engine.intents import IntentContext, Intents, Recognition
from kotaemon_node.engine.intents.expressions import BadExpression
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.tools import Caller

BOOK = IntentBook(
    intents=(
        IntentRule("query_order", keywords=("order", "订单"), slots=("order_id",)),
        IntentRule(
            "cancel_order",
            patterns=(r"cancel.*\border", "取消.*订单"),
            unless=("don't cancel", "不要取消"),
            slots=("order_id",),
        ),
        IntentRule("query_refund", slots=("order_id", "amount")),
    ),
    slots={
        "order_id": SlotRule(
            "order_id", patterns=(r"(?:order|订单)号?\s*#?(\d+)",), form=r"\d{3,12}"
        ),
        "amount": SlotRule("amount", "amount", most=1000),
        "day": SlotRule("day", "date"),
        "product": SlotRule("product", "choice", values={"mug": ("cup", "杯子"), "big mug": ()}),
    },
    corrections=(
        Correction(Condition(intents=("query_order",), previous=("query_refund",)), "query_refund"),
        Correction(Condition(context={"blocked": True}), None, {"blocked": "yes"}),
    ),
)


def recognised(text: str, book: IntentBook = BOOK, **context: Any) -> Recognition:
    caller = Caller("t", "s", context=context.pop("of_session", {}))
    said = IntentContext(caller, today=datetime.date(2026, 11, 21), **context)
    return Intents(book).recognise(text, context=said, stop=Stop())


@pytest.mark.parametrize(
    ("text", "intent", "order"),
    [
        ("Where is my order 1003?", "query_order", "1003"),
        ("WHERE IS ORDER #1003", "query_order", "1003"),
        ("我的订单1003到哪了", "query_order", "1003"),
        ("請取消我的訂單１００３", "cancel_order", "1003"),  # traditional signs, wide digits
        ("please cancel the order", "cancel_order", None),
        ("Don't cancel it, where is my order?", "query_order", None),
        ("a border is no order of mine"[:11], None, None),
        ("订单 12", "query_order", None),  # too short for a number of an order
        ("What is your return policy?", None, None),
    ],
)
def test_rules_find_the_intent_and_its_order(text: str, intent: str | None, order: object) -> None:
    found = recognised(text)

    assert (found.intent, found.slots.get("order_id")) == (intent, order)
    assert found.by == ("rules" if intent else "")


def test_several_orders_in_a_message_are_all_told() -> None:
    found = recognised("cancel order 1004 and order 1005")

    assert found.several == {"order_id": ("1004", "1005")}
    assert found.slots == {"order_id": "1005"}


def test_rules_that_match_equally_long_make_nobody_sure() -> None:
    book = IntentBook(
        intents=(IntentRule("one", keywords=("plan",)), IntentRule("two", keywords=("plan",)))
    )

    found = recognised("my plan", book)

    assert found.intent is None
    assert dict(found.candidates) == {"one": 0.4, "two": 0.4}


def test_a_filter_leaves_only_its_intents_and_an_empty_one_none() -> None:
    text = "cancel order 1003"

    assert recognised(text, allowed=frozenset({"query_order"})).intent == "query_order"
    nothing = recognised(text, allowed=frozenset())
    assert (nothing.intent, nothing.slots) == (None, {"order_id": "1003"})


def test_the_first_correction_that_applies_changes_the_intent() -> None:
    found = recognised("where is order 1003, 20 USD", previous=("query_refund", "greet"))

    assert (found.intent, found.corrected) == ("query_refund", "query_order")
    assert found.slots == {"order_id": "1003", "amount": {"value": 20, "currency": "USD"}}
    long_ago = ("query_refund", "a", "b", "c")
    assert recognised("where is order 1003", previous=long_ago).intent == "query_order"


def test_a_correction_puts_no_intent_in_place_that_the_caller_does_not_allow() -> None:
    only = frozenset({"query_order"})

    found = recognised("order 1003", previous=("query_refund",), allowed=only)

    assert found.intent == "query_order"


def test_a_correction_reads_the_context_of_the_session() -> None:
    found = recognised("where is my order", of_session={"blocked": "spam"})

    assert (found.intent, found.slots, found.corrected) == (
        None,
        {"blocked": "yes"},
        "query_order",
    )


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("我要三百五十块的杯子，明天到", {"amount": (350, "CNY"), "product": "mug", "day": "22"}),
        ("a big mug for $12.50 on Nov 25th", {"amount": (12.5, "USD"), "product": "big mug"}),
        ("退我2000元", {}),  # more than the bound
        ("下周三", {"day": "25"}),
        ("31 February", {}),
        ("one cup, no: 一个杯子", {"product": "mug"}),
    ],
)
def test_values_are_typed_and_checked(text: str, slots: dict[str, object]) -> None:
    read = {
        name: many[-1]
        for name, many in Intents(BOOK).slots.read(text, today=datetime.date(2026, 11, 21)).items()
    }

    if "amount" in slots:
        assert (read["amount"]["value"], read["amount"]["currency"]) == slots["amount"]
    if "day" in slots:
        assert read["day"] == f"2026-11-{slots['day']}"
    if "product" in slots:
        assert read["product"] == slots["product"]
    assert slots or read == {}


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2026-12-01", "2026-12-01"),
        ("on 3 January", "2027-01-03"),  # the nearest one
        ("Feb 28th, 2025", "2025-02-28"),
        ("26年十二月一号", "2026-12-01"),
        ("the day after tomorrow", "2026-11-23"),
        ("next saturday", "2026-11-28"),
        ("大后天", "2026-11-24"),
        ("31 February", None),
        ("29 February", None),  # no year near has one
        ("1/2", None),  # day or month first, nobody knows
    ],
)
def test_dates_are_read_in_both_languages(text: str, date: str | None) -> None:
    read = Intents(BOOK).slots.read(text, today=datetime.date(2026, 11, 21))

    assert read.get("day", (None,))[-1] == date


def test_a_slot_that_was_asked_for_may_be_all_of_the_message() -> None:
    assert recognised("1003", asked="order_id").slots == {"order_id": "1003"}
    assert recognised("it's 1003.", asked="order_id").slots == {"order_id": "1003"}
    assert recognised("1003").slots == {}


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("(a", "missing"), (r"(a)\1", "unbounded time"), ("a(?=b)", "unbounded"), ("a*", "empty")],
)
def test_an_expression_that_cannot_be_used_says_why(pattern: str, reason: str) -> None:
    with pytest.raises(BadExpression, match=reason):
        Intents(IntentBook(intents=(IntentRule("a", patterns=(pattern,)),)))
