"""What "it" and 它 stand for: resolved from what was said before, or asked about, never guessed."""

import pytest

from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.domain.intent_book import SlotRule
from kotaemon_node.engine.intents.references import points_back, referent
from kotaemon_node.engine.intents.slots import SlotReader
from kotaemon_node.engine.understanding.topics import Exchange

READER = SlotReader(
    {
        "order": SlotRule("order", patterns=(r"\b(1\d{3})\b", r"订单\s*(1\d{3})")),
        "sight": SlotRule(
            "sight", "choice", values={"故宫": (), "景山公园": (), "北海公园": (), "天坛": ()}
        ),
    }
)
TWO = Exchange("Which orders have I got?", "You have orders 1003 and 1004.")
ONE = Exchange("Where is order 1003?", "It is on its way.")


def meant(text: str, *history: Exchange, slot: str = "order", **state: object) -> object:
    found = referent(
        text,
        DialogueState(**state),  # type: ignore[arg-type]
        history,
        reader=READER,
        wanted=(slot,),
    )
    return found.slots.get(slot) or found.ambiguous.get(slot)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cancel it", "1003"),
        ("then cancel order 1005", "1005"),  # what is named counts
        ("thanks, please cancel that one", "1003"),
    ],
)
def test_it_is_what_was_asked_about_last(text: str, expected: str) -> None:
    assert meant(text, TWO, ONE) == expected


def test_of_two_that_were_listed_nobody_guesses() -> None:
    assert meant("cancel it", TWO) == ("1003", "1004")
    assert meant("cancel both", TWO) == ("1003", "1004")
    assert meant("cancel the second one", TWO) == "1004"
    assert meant("cancel the last one", TWO) == "1004"
    assert meant("cancel the fourth one", TWO) == ("1003", "1004")


def test_the_state_is_asked_where_no_text_names_anything() -> None:
    assert meant("cancel it", slots={"order": "1009"}) == "1009"
    assert meant("cancel it", entities={"order": ("1001", "1002")}) == ("1001", "1002")
    assert meant("cancel the first one", entities={"order": ("1001", "1002")}) == "1001"
    assert meant("cancel it") is None
    assert meant("cancel it", Exchange("hello", "hi"), ONE, Exchange("thanks", "")) == "1003"


def test_chinese_references() -> None:
    asked = Exchange("故宫的门票多少钱？", "60元。")
    near = Exchange("它周边有什么景点？", "有景山公园、北海公园。")

    assert meant("它几点开门？", asked, slot="sight") == "故宫"
    assert meant("它几点开门？", asked, near, slot="sight") == "故宫"  # a list is no "it"
    assert meant("第二个要门票吗？", asked, near, slot="sight") == "北海公园"
    assert meant("它们要门票吗？", asked, near, slot="sight") == ("景山公园", "北海公园")
    told = Exchange("推荐一个景点", "天坛和故宫都不错。")
    assert meant("那里的地址？", told, slot="sight") == ("天坛", "故宫")
    one = Exchange("它周边还有什么？", "天坛离得不远。")
    assert meant("它的电话是多少？", asked, one, slot="sight") == "天坛"
    assert meant("取消那个订单", Exchange("订单1003到哪了", "在路上。")) == "1003"


def test_words_that_point_back() -> None:
    assert points_back("cancel it")
    assert points_back("那家几点关门")
    assert not points_back("what is your return policy")
