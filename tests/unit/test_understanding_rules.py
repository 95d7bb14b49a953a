"""The question that stands alone, by rules: what is added, and what is left as it was."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kotaemon_node.domain.limits import QUESTION_PARTS_MAX
from kotaemon_node.engine.understanding.colloquial import written
from kotaemon_node.engine.understanding.rewriting import stand_alone
from kotaemon_node.engine.understanding.splitting import parts_of
from kotaemon_node.engine.understanding.topics import Exchange, depends

KETTLE = Exchange("Do you sell the Aurora kettle?", "Yes, we do. [1]")
GERMANY = Exchange("How long does shipping to Germany take?", "Three to five days.")
SHUIHU = Exchange("海棠水壶的保修期是多久？", "两年。")


@pytest.mark.parametrize(
    ("past", "message", "searched"),
    [
        ([KETTLE], "How much is it?", "Aurora kettle: How much is it?"),
        ([KETTLE], "Why?", "Aurora kettle: Why?"),
        ([KETTLE], "ok great, and the warranty?", "Aurora kettle: ok great, and the warranty?"),
        ([GERMANY], "And to Canada?", "How long does shipping to Canada take?"),
        ([GERMANY], "what about to Mexico", "How long does shipping to Mexico take?"),
        ([SHUIHU], "它多少钱？", "海棠水壶：它多少钱？"),
        ([SHUIHU], "那运费呢？", "海棠水壶：那运费呢？"),
        ([Exchange("怎么申请退货？", "在订单页面。")], "需要多久", "申请退货：需要多久"),
        ([Exchange("保修期是多久？", "不知道。")], "那怎么申请？", "保修期：那怎么申请？"),
        ([GERMANY, SHUIHU], "它多少钱？", "海棠水壶：它多少钱？"),
    ],
)
def test_what_a_message_leaves_out_is_taken_from_the_talk(
    past: list[Exchange], message: str, searched: str
) -> None:
    assert stand_alone(message, past) == searched


@pytest.mark.parametrize("message", ["保修期是多久？", "它多少钱？", "那怎么申请？"])
def test_who_changes_the_language_begins_anew(message: str) -> None:
    assert stand_alone(message, [KETTLE, GERMANY]) == message


@pytest.mark.parametrize(
    "message",
    [
        "How long does a refund take after I return an order?",
        "Is it possible to pay by invoice?",
        "Is there a shop in Berlin?",
        "What is a power of attorney?",
        "When did Victoria enact its constitution?",
        "If customers cancel an order twice, can they still pay by invoice?",
        "Should I wear a mask?",
        "What if I was recently in an area of local transmission?",
        "可以用支付宝付款购买会员吗？",
        "法国的顾客怎样取消他们的订单？",
        "什么是年金？",
        "《林投姐》这部作品是由谁改编的？",
        "SLA的意思是什么？",
        "ok great, thank you so much!",
        "好的，谢谢您！",
    ],
)
def test_what_stands_alone_stays_byte_for_byte(message: str) -> None:
    assert not depends(message)
    for past in ([KETTLE], [GERMANY, SHUIHU]):
        assert stand_alone(message, past) == message


def test_without_a_talk_nothing_is_added() -> None:
    assert stand_alone("And to Canada?", []) == "And to Canada?"


def test_a_long_message_says_what_it_is_about() -> None:
    long = "It was late. " * 100
    assert stand_alone(long, [KETTLE]) == long


@pytest.mark.parametrize(
    "piece", ["嗯", "ok ", "好的，", "um", "to a ", "called it ", "the ", "A."]
)
def test_no_repetition_takes_long(piece: str) -> None:
    """Nested repeats in a pattern would take longer than the test may run."""
    for length in (300, 599, 30_000):
        message = (piece * length)[:length]
        stand_alone(written(f"{message}x?"), [Exchange(message, message)] * 10)
        stand_alone(written(message), [Exchange(message, message)] * 10)


def test_the_newest_topic_counts_most() -> None:
    past = [KETTLE, Exchange("What is the warranty of the Nimbus lamp?", "Two years.")]
    first, _, _ = stand_alone("How much is it?", past).partition(":")
    assert first.startswith("Nimbus lamp")


def test_what_an_answer_offers_by_name_is_what_comes_next() -> None:
    offer = Exchange("which hotel is near the station", "there is one, it's called hotel sunrise")
    asked = Exchange("can i get the phone number", "it is four one five")
    assert stand_alone("do they have parking", [offer, asked]).startswith("hotel sunrise")


def test_what_is_asked_of_everything_is_no_topic() -> None:
    past = [KETTLE, Exchange("What is its price?", "20 euros.")]
    assert stand_alone("Is it heavy?", past) == "Aurora kettle: Is it heavy?"


def test_a_topic_keeps_the_script_it_was_written_in() -> None:
    past = [Exchange("海棠水壺的保修期是多久？", "兩年。")]
    assert stand_alone("它多少錢？", past) == "海棠水壺：它多少錢？"


words = st.lists(st.text(string.ascii_letters + "它那吗呢的水壶 ?", max_size=30), max_size=8)


@given(words, words, st.text(max_size=200))
def test_a_message_stays_whole_or_nothing_of_it_changes(
    asked: list[str], answered: list[str], message: str
) -> None:
    past = [Exchange(one, other) for one, other in zip(asked, answered, strict=False)]
    found = stand_alone(message, past)
    assert found == stand_alone(message, past)
    # "And to X?" alone takes another's place; the rest is put before the message.
    assert found.endswith(message) or message.strip().rstrip(" ?.!").split(" ")[-1] in found


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "Which is cheaper, the Aurora kettle or the Nimbus kettle?",
            (
                "Which is cheaper, the Aurora kettle?",
                "Which is cheaper, the Nimbus kettle?",
            ),
        ),
        (
            "Are Annie Morton and Terry Richardson both painters?",
            ("Are Annie Morton both painters?", "Are Terry Richardson both painters?"),
        ),
        (
            "What is the warranty of the kettle? And can I return it?",
            ("What is the warranty of the kettle?", "kettle, warranty: And can I return it?"),
        ),
        ("海棠水壶和云雀水壶哪个更便宜？", ("海棠水壶哪个更便宜？", "云雀水壶哪个更便宜？")),
        ("How do I return an order to Smith and Sons?", ()),
        ("退货和退款怎么申请？", ()),
        ("What? Why?", ()),
    ],
)
def test_what_is_compared_or_asked_in_a_row_is_searched_in_parts(
    question: str, parts: tuple[str, ...]
) -> None:
    assert parts_of(question) == parts


def test_parts_are_bounded() -> None:
    many = " ".join(f"What is the price of the {name} lamp?" for name in string.ascii_uppercase)
    assert len(parts_of(many)) == QUESTION_PARTS_MAX
    assert parts_of(f"{many} {many}") == ()  # a story
