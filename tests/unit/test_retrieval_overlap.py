"""Copies and neighbours must not fill a result: each place in it says something new."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kotaemon_node.domain.knowledge import Passage
from kotaemon_node.retrieval.overlap import same_place, same_words
from tests.fakes.knowledge import Documents, searcher_of

TEXT = "The lamp has a warranty of two years, counted from the day on which it was delivered."
OTHERS = {
    "returns.md": "A lamp may be returned within thirty days.",
    "care.md": "Clean the lamp with a dry cloth, and let it cool before.",
    "parts.md": "Parts of the lamp can be ordered for ten years.",
}
PASSAGE = Passage("id", "a.md", "r", "A", (), None, (100, 200), "text", "en")


def found(folder: Path, documents: Documents) -> list[str]:
    searcher = searcher_of(folder, documents)
    result = searcher.search("What is the warranty of the lamp?", top_k=4)
    return [hit.passage.document for hit in result.hits]


def test_copies_of_the_best_passage_leave_the_other_places_to_others(tmp_path: Path) -> None:
    copies = {f"copy-{number}.md": TEXT for number in range(9)}
    result = found(tmp_path, {**copies, **OTHERS})
    assert result[0] in copies
    assert sorted(result[1:]) == sorted(OTHERS)


def test_copies_with_a_word_more_or_less_are_copies(tmp_path: Path) -> None:
    result = found(tmp_path, {"a.md": TEXT, "b.md": f"{TEXT} Indeed.", **OTHERS})
    assert len({"a.md", "b.md"} & set(result)) == 1
    assert set(OTHERS) <= set(result)


@pytest.mark.parametrize(
    ("span", "same"),
    [((100, 200), True), ((149, 249), True), ((150, 250), False), ((120, 140), True)],
)
def test_neighbours_that_share_more_than_half_of_the_shorter_one_are_one_place(
    span: tuple[int, int], same: bool
) -> None:
    assert same_place(PASSAGE, replace(PASSAGE, span=span)) is same
    assert same_place(replace(PASSAGE, span=span), PASSAGE) is same
    assert not same_place(PASSAGE, replace(PASSAGE, span=span, document="b.md"))


def test_texts_that_differ_in_a_number_say_different_things() -> None:
    words = "the warranty of this lamp is counted from the day on which it was delivered to you"
    near = {"all": np.array([1.0, 0.0], dtype=np.float32)}
    thirty, fourteen = (replace(PASSAGE, text=f"{words} {days} days") for days in (30, 14))
    assert not same_words(thirty, fourteen, (near, near))
    assert same_words(thirty, replace(PASSAGE, text=f"{words} 30 days indeed"), (near, near))


def test_both_scripts_of_chinese_are_one_text() -> None:
    near = {"all": np.array([1.0, 0.0], dtype=np.float32)}
    simplified = replace(PASSAGE, text="台灯的保修期为两年，从收货之日起计算，凭发票办理。")
    traditional = replace(PASSAGE, text="臺燈的保修期為兩年，從收貨之日起計算，憑發票辦理。")
    assert same_words(simplified, traditional, (near, near))
