"""Spoken wording as written one: what goes, what is said otherwise, and what stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.understanding import Asked
from kotaemon_node.engine.understanding.colloquial import written
from kotaemon_node.engine.understanding.expanding import Expanding, Said
from kotaemon_node.engine.understanding.topics import Exchange


@pytest.mark.parametrize(
    ("message", "asks"),
    [
        ("umm hey can u tell me how long shipping takes, thanks", "how long shipping takes"),
        ("Hi there! I was wondering if you ship to Canada?", "you ship to Canada?"),
        ("uh do you know how I can get a refund please?", "how I can get a refund?"),
        ("am i gonna get my money back", "am i going to get my money back"),
        ("亲，请问退货咋办啊", "退货怎么办啊"),
        ("你好，我想问一下啥时候发货？谢谢啦", "什么时候发货？"),
        ("在吗？麻烦问一下运费", "在吗？麻烦问一下运费"),
    ],
)
def test_greetings_hesitation_and_slang_go(message: str, asks: str) -> None:
    assert written(message) == asks


@pytest.mark.parametrize(
    "message",
    [
        "How long does shipping take?",
        "can you tell me more about Letitia James?",
        "How do you know that a parcel is lost?",
        "hello",
        "thanks!",
        "什么时候发货？",
        "没啥问题吧",
        "  two   blanks  ",
        "",
    ],
)
def test_what_is_written_stays_byte_for_byte(message: str) -> None:
    assert written(message) == message


@given(st.text(max_size=200))
def test_something_is_always_left(message: str) -> None:
    found = written(message)
    assert found == message or found.strip()


def test_only_what_was_taken_from_the_talk_comes_from_history() -> None:
    past = [Exchange("Do you sell the Aurora kettle?", "Yes.")]

    def asked(message: str) -> Asked:
        return Expanding().expand(Said(message, past, "t"), "rewrite", stop=Stop())

    alone = asked("hi there, how do I return an order to the shop in Berlin")
    assert alone.search == "how do I return an order to the shop in Berlin"
    assert (alone.by, alone.from_history) == ("rules", False)
    leaning = asked("umm how much is it")
    assert leaning.search == "Aurora kettle: how much is it"
    assert (leaning.by, leaning.from_history) == ("rules", True)
