"""Questions in other small words: which are taken for the same, and which never are."""

import pytest

from kotaemon_node.engine.similar import Known, SimilarQuestions, skeleton
from kotaemon_node.ports.hot_answers import AnswerName

NAME = AnswerName("default", "a" * 64, "b" * 64)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I return a lamp?", "how can I return the lamp"),
        ("How is the exchange rate calculated?", "How is an exchange rate calculated?"),
        ("Can you tell me where my parcel is?", "Where is my parcel?"),
        ("Hi, do you know how to cancel order 42?", "how to cancel order 42"),
        ("请问可以定制吗", "可以定制嘛？"),
        ("你好，请问地址错了可以改吗", "地址错了，可以改呢？"),
    ],
)
def test_small_words_make_no_other_question(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I return a lamp?", "How do I return a sofa?"),
        ("How many died in 1346?", "How many died in 1349?"),
        ("Can I cancel order 42?", "Can I cancel order 43?"),
        ("Who pays for the return?", "When do I pay for the return?"),
        ("Why is it late?", "How late is it?"),
        ("from London to Paris", "from Paris to London"),
        ("Can I return it?", "Can't I return it?"),
        ("Is it covered?", "Is it not covered?"),
        ("before the delivery", "after the delivery"),
        ("What is my limit?", "What is your limit?"),
        ("What is C++ for?", "What is C# for?"),
        ("Is 5% off?", "Is 5€ off?"),
        ("多久能到", "多久能退"),
        ("可以退货吗", "不可以退货吗"),
    ],
)
def test_another_question_stays_another_one(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


@pytest.mark.parametrize("little", ["Hi", "What?", "Can I?", "please", "", "你好吗", "?!"])
def test_where_little_is_left_nothing_is_similar(little: str) -> None:
    known = SimilarQuestions(0.9)
    known.note("circle", Known(little, NAME))

    assert known.find("circle", little) is None
    assert len(known) == 0


def test_circles_know_nothing_of_each_other() -> None:
    known = SimilarQuestions(0.9)
    known.note("generation 7", Known("How do I return a lamp?", NAME))

    found = known.find("generation 7", "How can I return the lamp?")
    assert found is not None
    assert found.name == NAME
    assert known.find("generation 8", "How can I return the lamp?") is None


def test_what_is_known_is_bounded() -> None:
    known = SimilarQuestions(0.9, entries_max=3)
    for number in range(10):
        known.note("circle", Known(f"How do I return lamp {number}?", NAME))

    assert len(known) == 3
    assert known.find("circle", "How can I return lamp 9?") is not None
    assert known.find("circle", "How can I return lamp 1?") is None
