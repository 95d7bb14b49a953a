"""Who asks about an action does not ask for it."""

import pytest

from kotaemon_node.engine.acting.inquiries import asks_about, refuses


@pytest.mark.parametrize(
    "message",
    [
        "How can I cancel an order?",
        "how do I cancel my order",
        "What happens if I cancel my order?",
        "Do you charge for cancelling an order?",
        "Can I cancel my order after it shipped?",
        "Please tell me how to cancel an order",
        "I want to know whether cancelling an order is free",
        "Is it possible to cancel an order?",
        "When can an order be cancelled?",
        "取消订单要收费吗",
        "怎么取消订单？",
        "订单如何取消",
        "已经发货的订单可以取消吗？",
    ],
)
def test_a_question_about_it_goes_to_the_documents(message: str) -> None:
    assert asks_about(message)


@pytest.mark.parametrize(
    "message",
    [
        "Cancel my order",
        "please cancel order 1003",
        "then cancel it",
        "Can you cancel it?",
        "Could you please cancel my order?",
        "Would you cancel the order for me",
        "Can I cancel it?",
        "Can I cancel order 1003?",
        "I want to cancel my order",
        "I'd like to cancel the lamp",
        "那就取消吧",
        "取消订单1003",
        "能帮我取消订单吗",
        "可以取消吗",
        "我要取消订单",
        "麻烦取消一下我的订单",
    ],
)
def test_a_wish_for_it_does_not(message: str) -> None:
    assert not asks_about(message)


EXAMPLES = (
    "cancel my order",
    "please cancel it",
    "I don't want the order any more",
    "取消我的订单",
    "我不想要这个订单了",
)


@pytest.mark.parametrize(
    "message",
    [
        "don't cancel my order",
        "Please do not cancel my order 1003",
        "I don’t want to cancel my order any more",
        "never cancel anything",
        "no need to cancel it",
        "不要取消我的订单",
        "我不想取消订单",
        "别取消我的订单",
        "先不取消",
    ],
)
def test_who_says_not_to_does_not_want_it(message: str) -> None:
    assert refuses(message, EXAMPLES)


@pytest.mark.parametrize(
    "message",
    [
        *EXAMPLES,
        "I don't need it, cancel it",
        "I do not want this order",
        "我不要这个订单了，取消吧",
        "取消吧，别发货了",
    ],
)
def test_who_does_not_want_the_thing_may_want_it(message: str) -> None:
    assert not refuses(message, EXAMPLES)


def test_a_long_message_is_read_at_its_beginning() -> None:
    # Behind it, looking could cost time that grows with the square of its length.
    assert not asks_about("cancel it, " * 200 + "how much is that?")
    assert not refuses("cancel it, " * 200 + "don't cancel it", EXAMPLES)
