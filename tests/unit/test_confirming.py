"""A yes is one that says nothing else: what carries out what cannot be taken back."""

import pytest

from kotaemon_node.engine.acting.confirming import reply_of
from kotaemon_node.engine.acting.references import meant
from kotaemon_node.engine.acting.sentences import SENTENCES, listed

ASKED = "Cancel order 1003 (2 x mug, 18.00 EUR)"
GEFRAGT = "取消订单1003（2个马克杯，18.00欧元）"

YES = (
    "yes", "Yes, please!", "yes, cancel it", "yes, cancel order 1003", "ok", "OK thanks",
    "go ahead",
    "please do", "Please go ahead and cancel it", "yes, I'm sure", "I confirm", "that's right", "y",
    "是", "是的", "好的", "好的，取消吧", "确认", "确认取消", "是的，请取消订单1003", "可以", "行",
    "没问题",
    "好的，谢谢", "ＹＥＳ", "yes please cancel my order", "Yes, I want to cancel my order",
    "correct", "fine, thanks", "Perfect!", "I do", "right, go ahead", "that's correct, cancel it",
    "sure, do it now", "yes, just do it", "确认取消订单", "是的，我要取消这个订单",
    "好的，帮我取消", "请继续操作",
)  # fmt: skip
NO = (
    "no", "No thanks.", "no, thank you", "nope", "don't", "please don't", "don't cancel it",
    "never mind", "not yet", "leave it", "不", "不用了", "不用，谢谢", "算了", "先不要",
    "别取消订单1003",
    "不要取消",
)  # fmt: skip
OTHER = (
    "I do want my order", "confirm my order", "correct order 1003", "I do order it now",
    "fine i want my money back", "sure i want my order", "right now I want my order",
    "Perfect order", "sure order it for me", "go ahead order it", "i agree order is great",
    "confirm order 1003", "yes, order 1003", "yes, cancel the mug", "yes, just the mug",
    "yes, one", "yes, cancel my orders", "that's right my order", "ok to order", "correct it",
    "ok correct order 1003",
    "要这个订单", "我要1003", "确认订单", "好，订单给我", "好的，我要这个订单", "是我的订单",
    "可以把订单给我", "我要", "要", "我要订单", "好的，取消操作", "好的，取消马克杯",
    "", "yes?", "yes, but only one", "yes and also cancel 1004", "yes, cancel order 1004",
    "yes, tomorrow", "yes if it is free", "is that a yes", "what does yes mean", "cancel",
    "sure, why not", "no, cancel order 1004", "I said yes to my wife", "1003", "yes " * 40,
    "how do I say yes", "no wait, yes", "yes no", "maybe", "the order",
    "好吗？", "是吗", "可以吗", "行不行", "好像可以", "好的，但是只取消一个", "是的，取消订单1004",
    "等一下",
    "对不起", "不错", "不过我想换货", "是不是", "取消", "不是1003，是1004", "好的，明天再取消",
)  # fmt: skip


@pytest.mark.parametrize("said", YES)
def test_a_plain_yes(said: str) -> None:
    assert reply_of(said, ASKED if said.isascii() or said == "ＹＥＳ" else GEFRAGT) == "yes"


@pytest.mark.parametrize("said", NO)
def test_a_plain_no(said: str) -> None:
    assert reply_of(said, ASKED if said.isascii() else GEFRAGT) == "no"


@pytest.mark.parametrize("said", OTHER)
def test_all_else_is_neither(said: str) -> None:
    assert reply_of(said, ASKED if said.isascii() else GEFRAGT) == "other"


@pytest.mark.parametrize(
    ("said", "asked", "reply"),
    [
        ("yes, cancel 1003", "Cancel orders 1003 and 1004", "other"),
        ("yes, cancel 1003 and 1004", "Cancel orders 1003 and 1004", "yes"),
        ("好的，取消订单1003", "取消订单1003和1004", "other"),
        ("yes, I want my order", "Your order 1003 will be cancelled", "other"),
        ("ok, my order", "Order 1003 is cancelled", "other"),
        ("好的，我的订单", "订单1003将被取消", "other"),
        ("yes", "order_cancel (order_id: 1003)", "yes"),
        ("ok 1003", "order_cancel (order_id: 1003)", "other"),
        # A word of doubt stays one where the action has it, too.
        ("yes, cancel, not return", "Cancel and not return order 1003", "other"),
        ("yes, cancel order later", "Cancel order 1003 later than order 1004", "other"),
        ("yes", "Cancel and not return order 1003", "yes"),
        ("yes", "", "yes"),
        ("好的，请退款", "为您退款18欧元", "yes"),
    ],
)
def test_what_was_asked_is_named_as_a_whole_and_by_its_verb(
    said: str, asked: str, reply: str
) -> None:
    assert reply_of(said, asked) == reply


@pytest.mark.parametrize(
    ("said", "which"),
    [
        ("1004", "1004"),
        ("the second one please", "1004"),
        ("the last one", "1005"),
        ("cancel the first", "1003"),
        ("第二个", "1004"),
        ("取消最后一个", "1005"),
        ("第3单", "1005"),
        ("order 100", None),
        ("1003 or 1004", None),
        ("the first and the second", None),
        ("the fifth one", None),
        ("it took the last time a week", None),
        ("cancel it", None),
    ],
)
def test_which_of_several_is_meant(said: str, which: str | None) -> None:
    assert meant(said, ("1003", "1004", "1005")) == which


def test_traditional_characters_mean_the_same() -> None:
    assert meant("最後一個", ("1003", "1004", "1005")) == "1005"


def test_the_only_one_is_meant_whatever_is_said() -> None:
    assert meant("cancel it", ("1003",)) == "1003"
    assert meant("cancel it", ()) is None


def test_every_sentence_is_there_in_both_languages_with_the_same_places() -> None:
    for name, said in SENTENCES.items():
        assert set(said) == {"en", "zh"}, name
        names = ("{summary}", "{slot}", "{choices}", "{reason}")
        places = [{name for name in names if name in text} for text in said.values()]
        assert places[0] == places[1], name
    assert listed(("1", "2", "3"), "en") == "1, 2 or 3"
    assert listed(("1", "2"), "zh") == "1还是2"
    assert listed(("1",), "zh") == "1"
