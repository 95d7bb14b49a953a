"""Figures that pages tell are those of the files in load/results."""

import pytest

from scripts.kept_figures import SENTENCES, Sentence, said, written
from scripts.result_figures import ROOT, rounded

HERE = Sentence("page", "of {kills} kills p95 {p95} ms", lambda: {"kills": "1,200", "p95": "0.3"})


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda one: f"{one.page}: {one.text[:40]}")
def test_a_page_tells_what_was_measured(sentence: Sentence) -> None:
    told = said(sentence, (ROOT / sentence.page).read_text("utf-8"))

    assert told is not None, f"{sentence.page} does not say once: {sentence.text}"
    now = sentence.figures()
    assert told == {name: now[name] for name in told}, "python -m scripts.kept_figures writes them"


def test_figures_are_written_where_they_stand() -> None:
    page = "Some. Hit by one of 7 kills p95 12.5 ms. Some."

    assert said(HERE, page) == {"kills": "7", "p95": "12.5"}
    assert written(HERE, page) == "Some. Hit by one of 1,200 kills p95 0.3 ms. Some."


@pytest.mark.parametrize("page", ["", "of 7 kills p95 1 ms, of 8 kills p95 2 ms", "of many kills"])
def test_what_is_not_said_once_is_not_written(page: str) -> None:
    assert said(HERE, page) is None
    assert written(HERE, page) == page


def test_halves_are_rounded_up_as_people_do() -> None:
    assert [rounded(1.025, 2), rounded(0.5), rounded(1234.5), rounded(99.0, 2)] == [
        *("1.03", "1", "1,235", "99.00"),
    ]
