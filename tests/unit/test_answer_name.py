"""Names of answers: what is the same question, and what keeps two answers apart."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kotaemon_node.engine.answer_name import Recipe, answer_name, normal_question
from kotaemon_node.ports.hot_answers import AnswerName

RECIPE = Recipe("programs", "profile", "model", ("look_up",))
HOW: dict[str, Any] = {
    "tenant": "default",
    "kb": "default",
    "scope": "",
    "generation": 7,
    "digest": "d7",
    "recipe": RECIPE,
}
OTHER: dict[str, Any] = {
    "tenant": "acme",
    "kb": "handbook",
    "scope": "staff",
    "generation": 8,
    "digest": "d8",
}


def named(*questions: str, **how: Any) -> AnswerName:
    return answer_name(questions or ("How long?",), **{**HOW, **how})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How long does it take?", "how long does it take"),
        ("  How\tlong\n does it take ?", "How long does it take!"),
        ("Ｈｏｗ　ｌｏｎｇ？", "how long"),
        ("多久能收到？", "多久能收到"),
        ("ﬁle", "FILE"),
    ],
)
def test_the_same_question_has_one_name(one: str, other: str) -> None:
    assert normal_question(one) == normal_question(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dog bites man", "man bites dog"),
        ("Is 10² enough?", "Is 102 enough?"),
        ("What is C?", "What is C++?"),
        ("What is C#?", "What is C?"),
        ("within 14 days?", "within 41 days?"),
        ("can I return it?", "can't I return it?"),
        ("resume", "résumé"),
        ("½ a day?", "1⁄2 a day?"),
    ],
)
def test_another_question_has_another_name(one: str, other: str) -> None:
    assert normal_question(one) != normal_question(other)


@given(st.text(max_size=60))
def test_what_is_normal_stays_so(text: str) -> None:
    once = normal_question(text).partition("\x00")[0]

    assert normal_question(once).partition("\x00")[0] == once


@given(st.text(min_size=1, max_size=60))
def test_nothing_but_marks_is_no_empty_question(text: str) -> None:
    assert bool(normal_question(text)) == bool(text.split() or "\x00" in normal_question(text))


@given(st.sampled_from(sorted(OTHER)), st.text(max_size=20))
def test_whatever_differs_names_another_answer(what: str, question: str) -> None:
    assert named(question) == named(question)
    assert named(question).digest != named(question, **{what: OTHER[what]}).digest


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("newer", "profile", "model", ("look_up",)),
        Recipe("programs", "another", "model", ("look_up",)),
        Recipe("programs", "profile", "another", ("look_up",)),
        Recipe("programs", "profile", "model"),
    ],
)
def test_what_is_made_otherwise_is_another_answer(recipe: Recipe) -> None:
    assert named().digest != named(recipe=recipe).digest


def test_who_asked_before_is_known_whatever_the_generation_and_never_elsewhere() -> None:
    asked = named().question

    assert asked == named(generation=8, digest="d8", recipe=Recipe("n", "n", "n")).question
    for what in ("tenant", "kb", "scope"):
        assert asked != named(**{what: OTHER[what]}).question


def test_parts_cannot_be_moved_from_one_field_to_the_next() -> None:
    assert named("a", "b") != named("a b")
    assert named(kb="ab", scope="") != named(kb="a", scope="b")
    assert named("a\x00b").digest != named("a", "b").digest


def test_the_same_letters_in_another_language_are_another_question() -> None:
    # Eight words and two ideographs are English; with one word less it is Chinese.
    assert named("保修 a b c d") != named("保修 a b c d e")
