"""A talk that acts, on a real Redis: a question, a cancellation behind a yes, both languages."""

import threading
from dataclasses import replace

import pytest

from kotaemon_node.domain.intent_book import Condition, Correction, IntentBook
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.intents import Intents
from kotaemon_node.ports.intents import Recognition
from tests.acting_pods import BOOK, POLICY, ActingPod, Shop
from tests.redis_server import RedisServer

WHY = "Why hasn't my order shipped?"
STORY = {
    "en": (WHY, "then cancel it", "yes, please", "Shall I?", "Order 1003 is cancelled."),
    "zh": (
        "为什么我的订单还没发货？",
        "那就取消吧",
        "好的",
        "确认执行吗",
        "Order 1003 is cancelled.",
    ),
}


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.mark.parametrize("language", STORY)
def test_an_order_is_asked_about_and_then_cancelled_once_on_three_pods(
    server: RedisServer, shop: Shop, language: str
) -> None:
    why, cancel, yes, question, done = STORY[language]
    one, two, three = (ActingPod(name, server, shop) for name in ("one", "two", "three"))

    first = one.says(why, turn="t1")
    assert first.answer.startswith("Order 1003 (2 x mug, 18.00 EUR) is packed.\n\n")
    assert first.answer.rstrip().endswith("[1]")
    explained = first.answer.partition("\n\n")[2].replace(" [1]", "").replace("[1]", "")
    assert explained
    assert explained in POLICY[language]
    assert [doc["document"] for doc in first.sources] == ["shipping.md"]
    assert not first.unanswered
    assert one.state().entities == {"order_id": ("1003",)}
    calls = [frame.fields for frame in one.frames("t1") if frame.type == "tool_call"]
    assert [(it["name"], it["state"]) for it in calls] == [
        ("order_query.query", "started"),
        ("order_query.query", "done"),
    ]

    second = two.says(cancel, turn="t2")
    assert "Cancel order 1003 (2 x mug, 18.00 EUR)" in second.answer
    assert question in second.answer
    assert shop.cancelled == []
    pending = three.state().pending
    assert pending is not None
    assert (pending.plugin, pending.arguments) == ("order_cancel", {"order_id": "1003"})

    third = three.says(yes, turn="t3")
    assert third.answer == done
    [(number, ledger_key)] = shop.cancelled
    assert number == "1003"
    assert ledger_key.endswith(":t3:0.1")
    assert three.state().pending is None
    assert three.counted("proposals", outcome="confirmed") == 1
    assert one.counted("intents", by="rules") == 1
    # A second yes finds nothing that waits for it, and is answered as one speaks.
    again = three.says(yes, turn="t4")
    assert len(shop.cancelled) == 1
    assert again.answer in {
        "All right. If there is anything else, just ask.",
        "好的。如果还有别的问题，请随时问我。",
    }
    assert not again.unanswered


def test_the_documents_are_searched_while_the_plugin_is_called(
    server: RedisServer, shop: Shop
) -> None:
    pod = ActingPod("one", server, shop)
    both = threading.Barrier(2, timeout=60)
    shop.held = lambda call: both.wait()  # type: ignore[assignment]
    pod.knowledge.held = both.wait  # type: ignore[assignment]
    assert pod.says(WHY, turn="t1").state is State.DONE


def test_where_no_document_fits_the_plugin_alone_answers(server: RedisServer, shop: Shop) -> None:
    pod = ActingPod("one", server, shop)
    pod.knowledge.texts, pod.knowledge.weight = {"en": "Our mugs are made of clay."}, 0.0
    turn = pod.says(WHY, turn="t1")
    assert turn.answer == "Order 1003 (2 x mug, 18.00 EUR) is packed."
    assert turn.sources == ()
    assert not turn.unanswered


def test_a_question_to_the_documents_is_answered_as_ever(server: RedisServer, shop: Shop) -> None:
    pod = ActingPod("one", server, shop)
    turn = pod.says("How long does shipping take for paid orders in stock?", turn="t1")
    assert "[1]" in turn.answer
    assert pod.asked("order_query") == []
    assert "tool_call" not in {frame.type for frame in pod.frames("t1")}


def test_an_intent_that_the_caller_filters_out_is_not_acted_on(
    server: RedisServer, shop: Shop
) -> None:
    pod = ActingPod("one", server, shop)
    pod.says(WHY, turn="t1", intent_filter=["cancel_order"])
    assert pod.asked("order_query") == []


def test_what_is_missing_is_asked_for_and_the_next_message_may_be_just_that(
    server: RedisServer, shop: Shop
) -> None:
    pod, other = ActingPod("one", server, shop), ActingPod("two", server, shop)
    assert pod.says("please cancel my purchase", turn="t1").answer == "Which order id is it about?"
    wanted = other.state().wanted
    assert wanted is not None
    assert wanted.slot == "order_id"
    asked = other.says("1003", turn="t2")
    assert "Cancel order 1003" in asked.answer
    assert other.asked("order_cancel")[0].user_input == "cancel my purchase 1003"
    assert other.state().wanted is None


def test_of_several_orders_the_one_that_is_meant_is_asked_for(
    server: RedisServer, shop: Shop
) -> None:
    shop.open["1004"] = "1 x lamp, 30.00 EUR"
    pod = ActingPod("one", server, shop)
    pod.says("Show me my orders", turn="t1")
    asked = pod.says("cancel it", turn="t2")
    assert asked.answer == "Which order id do you mean: 1003 or 1004?"
    assert "Cancel order 1004 (1 x lamp" in pod.says("the second one", turn="t3").answer
    pod.says("yes", turn="t4")
    assert [number for number, _ in shop.cancelled] == ["1004"]


def test_the_order_that_is_named_goes_before_the_one_that_was_talked_about(
    server: RedisServer, shop: Shop
) -> None:
    shop.open["1004"] = "1 x lamp, 30.00 EUR"
    pod = ActingPod("one", server, shop)
    pod.says("Show me my orders", turn="t1")
    assert "Cancel order 1004" in pod.says("cancel 1004", turn="t2").answer
    # Then another one: what waited for a yes is dropped, and its yes goes to the new question.
    assert "Cancel order 1003" in pod.says("no, cancel 1003", turn="t3").answer
    pod.says("yes", turn="t4")
    assert [number for number, _ in shop.cancelled] == ["1003"]
    assert pod.counted("proposals", outcome="dropped") == 1


def test_another_value_alone_asks_the_same_again(server: RedisServer, shop: Shop) -> None:
    shop.open["1004"] = "1 x lamp, 30.00 EUR"
    pod = ActingPod("one", server, shop)
    assert "Cancel order 1004" in pod.says("cancel 1004", turn="t1").answer
    assert "Cancel order 1003" in pod.says("and 1003?", turn="t2").answer
    assert "Cancel" not in pod.says("What does it cost?", turn="t3").answer


def test_without_rules_too_the_second_one_is_the_second_that_was_shown(
    server: RedisServer, shop: Shop
) -> None:
    shop.open["1004"] = "1 x lamp, 30.00 EUR"
    book = replace(BOOK, intents=tuple(replace(it, needs=(), slots=()) for it in BOOK.intents))
    pod = ActingPod("one", server, shop, book=book)
    pod.says("cancel 1003", turn="t1")
    pod.says("Show me my orders", turn="t2")
    # Several were shown, so it is not the one of before any more.
    assert pod.says("cancel it", turn="t3").answer.endswith("There is no open order None.")
    assert "Cancel order 1004" in pod.says("cancel the second one", turn="t4").answer


def test_what_the_talk_is_about_is_kept_for_the_next_message(
    server: RedisServer, shop: Shop
) -> None:
    pod = ActingPod("one", server, shop)
    pod.says("I want a refund for the blue running shoes", turn="t1")
    assert pod.state().topic == "blue running shoes, refund"
    corrected = Correction(Condition(("query_order",), topic="refund"), "cancel_order")
    other = ActingPod("two", server, shop, book=replace(BOOK, corrections=(corrected,)))
    other.says("Why has order 1003 not been shipped?", turn="t2")
    assert [call.entry for call in other.asked("order_cancel")] == ["hook"]


class Guessing:
    """Takes every message for a cancellation, as a classifier may."""

    def recognise(self, text: str, **_: object) -> Recognition:
        return Recognition("cancel_order", 0.9, by="examples")


def test_who_asks_how_to_cancel_is_told_how_and_nothing_is_proposed(
    server: RedisServer, shop: Shop
) -> None:
    slots = IntentBook(slots=BOOK.slots)
    pod = ActingPod("one", server, shop, intents=Intents(slots, others=(Guessing(),)))

    asked = pod.says("How can I cancel an order?", turn="t1")
    assert pod.state().pending is None
    assert pod.asked("order_cancel") == []
    assert "refused" not in asked.answer

    pod.says("Please cancel order 1003", turn="t2")
    pending = pod.state().pending
    assert pending is not None
    assert pending.plugin == "order_cancel"
