"""Marks of a language model: which pass, which go, and what is held back meanwhile."""

import re
from collections import Counter

import pytest

from kotaemon_node.domain.knowledge import Hit, Passage
from kotaemon_node.domain.language import language_of
from kotaemon_node.domain.limits import CITATION_HELD_CHARS_MAX
from kotaemon_node.engine.citing import CitationGate, Citing, Outcome, citing_of, claim_before

SHIPPING = "Parcels leave the warehouse within two days. Delivery to Norway costs 12.50 euros."
RETURNS = "A return is free within 30 days of delivery. The X200 lamp cannot be returned."
CHINESE = "自收到商品之日起30天内可以免费退货。X200台灯不支持退货。"
QUESTION = "How long may I return a parcel?"


def hit(text: str, *, title: str = "Guide") -> Hit:
    passage = Passage(
        id=text[:8],
        document="guide.md",
        revision="r1",
        title=title,
        heading=(),
        page=None,
        span=(0, len(text)),
        text=text,
        language=language_of(text),
    )
    return Hit(passage, score=0.03, dense=0.6, lexical=1.0, coverage=0.6, contrast=0.6)


HITS = (hit(SHIPPING), hit(RETURNS), hit(CHINESE))


def let_out(
    text: str, hits: tuple[Hit, ...] = HITS, *, question: str = QUESTION
) -> tuple[str, Counter[Outcome]]:
    outcomes = Counter[Outcome]()
    gate = CitationGate(hits, question=question, outcomes=outcomes)
    return gate.feed(text) + gate.finish(), +outcomes


@pytest.mark.parametrize(
    "text",
    [
        "Parcels leave within two days [1].",
        "Parcels leave within two days. [1]",
        "Parcels leave within 2 days[1], and a return is free within 30 days [2].",
        "1. Delivery to Norway costs 12.5 euros [1].\n2. The X200 lamp cannot be returned [2].",
        "(2) Delivery to Norway costs 12.50 euros [1].",
        "Delivery costs 12.50 euros and a return is free within 30 days [1][2].",
        "30 days [2].",
        "收到商品30天内可以免费退货[3]。",
        "X200台灯不能退[2]。",  # of another language: numbers and names
        "Within 30 days [3].",
        "No marks at all, array[] and [see below] and [2024].",
    ],
)
def test_marks_that_their_passages_bear_pass(text: str) -> None:
    shown, outcomes = let_out(text)
    assert shown == text
    assert set(outcomes) <= {"kept"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Parcels leave within two days [7].", "Parcels leave within two days [1]."),
        ("Parcels leave within two days [0].", "Parcels leave within two days [1]."),
        ("Penguins live in cold seas [1].", "Penguins live in cold seas."),
        ("Penguins of X200 live in 2 seas [3].", "Penguins of X200 live in 2 seas."),
        ("A return is free within 60 days [2].", "A return is free within 60 days."),
        ("A return is free within 30 days [1].", "A return is free within 30 days [2]."),
        ("The X300 lamp cannot be returned [2].", "The X300 lamp cannot be returned."),
        ("The **X300 lamp** cannot be returned [2].", "The **X300 lamp** cannot be returned."),
        ("Returns in 60) are free within 30 days [2].", "Returns in 60) are free within 30 days."),
        ("Delivery to Sweden costs 12.50 euros [1].", "Delivery to Sweden costs 12.50 euros."),
        ("收到商品60天内可以免费退货[3]。", "收到商品60天内可以免费退货。"),
        ("X300台灯不能退[2]。", "X300台灯不能退。"),
        ("I don't know [1].", "I don't know."),
        ("Penguins fly [1[9]].", "Penguins fly [1 ]."),
        ("[1] Parcels leave within two days.", " Parcels leave within two days."),
        ("Parcels leave within two days [1][2].", "Parcels leave within two days [1]."),
    ],
)
def test_marks_that_are_not_borne_go_or_name_the_one_passage_that_bears(
    text: str, shown: str
) -> None:
    assert let_out(text, HITS[:2] if "[7]" in text or "[0]" in text else HITS)[0] == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [("［1］", "[1]"), ("【1】", "[1]"), ("[１]", "[1]"), ("[1,2]", "[1]"), ("[1, 1]", "[1]")],
)
def test_marks_in_other_forms_leave_in_one(written: str, shown: str) -> None:
    assert let_out(f"Parcels leave within two days {written}.")[0] == (
        f"Parcels leave within two days {shown}."
    )


def test_a_wrong_mark_names_no_other_passage_where_two_would_do() -> None:
    twice = (hit(SHIPPING), hit(SHIPPING, title="Copy"), hit(RETURNS))
    shown, outcomes = let_out("Parcels leave within two days [3].", twice)
    assert (shown, outcomes) == ("Parcels leave within two days.", {"dropped": 1})


def test_without_passages_no_mark_passes() -> None:
    assert let_out("Parcels leave within two days [1].", ())[0] == "Parcels leave within two days."


def test_text_is_shown_at_once_and_a_mark_when_it_is_whole() -> None:
    gate = CitationGate(HITS, question=QUESTION)
    shown = [gate.feed(piece) for piece in ("Parcels leave within two days", " [", "1", "]", ".")]
    assert shown == ["Parcels leave within two days", "", "", "", " [1]."]


def test_no_more_is_held_back_than_the_bound() -> None:
    gate = CitationGate(HITS, question=QUESTION)
    text = "[1][2][3][1][2][3][1, 2, 3, 1, 2, 3, 1, 2, 3 and so on"
    fed = 0
    for letter in text:
        fed += len(gate.feed(letter)) >= 0
        assert len(gate._held) <= CITATION_HELD_CHARS_MAX
    gate.finish()
    assert gate._held == ""


def test_who_goes_on_behind_a_text_judges_as_if_it_had_let_it_out() -> None:
    gate = CitationGate(HITS, question=QUESTION)
    gate.go_on_behind("A return is free within 30 ")
    assert gate.feed("days [2]. It is free [2].") + gate.finish() == "days [2]. It is free [2]."
    gate = CitationGate(HITS, question=QUESTION)
    gate.go_on_behind("A return is free within 60 ")
    assert gate.feed("days [2].") + gate.finish() == "days."


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("", ""),
        ("One. Two leave", "Two leave"),
        ("One goes. Two leave.", "Two leave."),
        ("One goes [1]. Two leave. [2] ", "Two leave."),
        ("Two leave [1]", "Two leave"),
        ("Two leave [1] and three stay", "and three stay"),
        ("Two leave [1].", "Two leave"),
    ],
)
def test_a_mark_cites_the_sentence_or_the_part_of_it_that_it_ends(text: str, claim: str) -> None:
    assert claim_before(text).strip() == claim


@pytest.mark.parametrize(
    ("answer", "citing"),
    [
        ("", Citing(0, 0)),
        ("Two leave [1]. Three stay. Four come.", Citing(3, 1)),
        ("Two leave. [1] Three stay. [2]", Citing(2, 2)),
        ("两天内发货[1]。三天送到。", Citing(2, 1)),
    ],
)
def test_sentences_that_cite_are_counted(answer: str, citing: Citing) -> None:
    assert citing_of(answer) == citing


@pytest.mark.parametrize(
    ("question", "text", "shown"),
    [
        ("Is a return free?", "Yes [2].", "Yes [2]."),
        ("Is a penguin a bird?", "Yes [2].", "Yes."),
        ("Is a return free?", "Penguins fly [2].", "Penguins fly."),
        ("可以免费退货吗？", "可以[3]。", "可以[3]。"),
    ],
)
def test_yes_and_no_are_borne_by_what_bears_the_question(
    question: str, text: str, shown: str
) -> None:
    assert let_out(text, question=question)[0] == shown


@pytest.mark.parametrize(
    ("number", "word"),
    enumerate(
        re.findall(r"\S+", "zero one two three four five six seven eight nine ten eleven twelve")
    ),
)
def test_a_number_is_borne_by_the_word_for_it(number: int, word: str) -> None:
    text = f"Parcels leave within {number} days [1]."
    assert let_out(text, (hit(f"Parcels leave within {word} days."),))[0] == text
    other = (hit("Parcels leave within thirty days."),)
    assert let_out(text, other)[0] == f"Parcels leave within {number} days."
