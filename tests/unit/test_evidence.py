"""How much speaks for an answer: meaning, words, words near each other, names and numbers."""

import time
from dataclasses import replace

import pytest

from kotaemon_node.domain.knowledge import Hit, Passage
from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.evidence import Weighing


def hit(text: str, *, contrast: float | None = 0.5, coverage: float = 0.5) -> Hit:
    passage = Passage(
        id="id",
        document="d.md",
        revision="r",
        title="",
        heading=(),
        page=None,
        span=(0, len(text)),
        text=text,
        language=language_of(text),
    )
    return Hit(
        passage, score=0.03, dense=contrast, lexical=1.0, coverage=coverage, contrast=contrast
    )


def test_meaning_and_words_add_up() -> None:
    one = hit("Nothing of what was asked.", contrast=0.4, coverage=0.5)
    assert Weighing("delivery of lamps").of(one) == pytest.approx(0.4 + 0.7 * 0.5)
    said = replace(one, passage=hit("The delivery of lamps.").passage)
    assert Weighing("delivery of lamps").of(said) == pytest.approx(0.4 + 0.7 * 0.5 + 0.3)


def test_words_strewn_over_a_passage_say_less_than_words_side_by_side() -> None:
    weighing = Weighing("Is the delivery of lamps free?")
    near = hit("We sell oak. Chairs are old. Tables are new. The delivery of lamps is free.")
    strewn = hit("The delivery is quick. Chairs are old. Tables are new. Lamps hang. Oak is free.")
    assert weighing.of(near) > weighing.of(strewn) + 0.05


def test_words_above_count_as_if_they_stood_in_every_sentence() -> None:
    one = hit("It is free from fifty dollars.")
    headed = replace(one, passage=replace(one.passage, heading=("Delivery",)))
    weighing = Weighing("Is delivery free?")
    assert weighing.of(headed) > weighing.of(one)


@pytest.mark.parametrize(
    ("question", "with_it", "without"),
    [
        (
            "What did the report of 2019 say?",
            "The report of 2019 said.",
            "The report of 2018 said.",
        ),
        ("What does the Aurora cup cost?", "The Aurora cup costs.", "The Borealis cup costs."),
        ("iPhone 15 的保修期是多久？", "iPhone 15 的保修期是一年。", "iPad 14 的保修期是一年。"),
    ],
)
def test_a_passage_about_another_year_or_product_has_less(
    question: str, with_it: str, without: str
) -> None:
    weighing = Weighing(question)
    assert weighing.of(hit(with_it)) > weighing.of(hit(without)) + 0.1


def test_for_another_language_closeness_stands_for_the_words() -> None:
    weighing = Weighing("送货要多长时间？")
    assert weighing.of(hit("Delivery takes three days.", coverage=0.0)) == pytest.approx(1.0)


def test_without_a_contrast_the_cosine_stands_for_it() -> None:
    one = replace(hit("Nothing.", coverage=0.0), contrast=None, dense=0.7)
    assert Weighing("delivery").of(one) == pytest.approx(0.7)
    assert Weighing("delivery").of(replace(one, dense=None)) == 0.0


def test_where_nothing_was_searched_by_meaning_words_count_more() -> None:
    one = replace(hit("Nothing.", contrast=None, coverage=0.8), dense=None)
    assert Weighing("delivery").of(one) == pytest.approx(1.5 * 0.7 * 0.8)


@pytest.mark.parametrize("page", ["." * 30_000, "…A " * 10_000, "Aa " * 10_000])
def test_a_page_of_marks_or_capitals_is_weighed_at_once(page: str) -> None:
    began_s = time.process_time()
    Weighing(f"x {page}").of(hit("Nothing."))
    assert time.process_time() - began_s < 1.0  # seconds, even minutes, where all pairs are tried


def test_the_best_of_none_is_nothing() -> None:
    assert Weighing("delivery").best([]) == 0.0
    assert Weighing("?").best([hit("Nothing.", coverage=0.0)]) == pytest.approx(0.5)
