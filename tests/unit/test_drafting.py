"""Wordings of one question are one draft; what was dismissed comes back when it is asked again."""

from collections.abc import Sequence

import pytest

from kotaemon_node.domain.acting_limits import FAQ_DRAFT_AGAIN
from kotaemon_node.engine.drafting import drafts_of
from kotaemon_node.ports.faq_drafts import DraftRow, Example


def row(question: str, asked: int = 1, *, dismissed: int = 0, down: int = 0) -> DraftRow:
    example = Example(f"s-{question}", "t1", 3)
    return DraftRow(question, question, asked, down, 1.0 * asked, 10.0, dismissed, (example,))


def closeness(cosine: float):
    def of(questions: Sequence[str]) -> list[list[float]]:
        return [[cosine] * len(questions) for _ in questions]

    return of


def asked(rows: Sequence[DraftRow], cosine: float = 0.8) -> list[tuple[str, ...]]:
    return [(one.question, *one.variants) for one in drafts_of(rows, closeness(cosine))]


def test_what_says_the_same_is_one_question_without_any_closeness() -> None:
    rows = [row("How do I cancel my order?"), row("how can I cancel an order please", 2)]

    assert asked(rows, cosine=-1.0) == [
        ("how can I cancel an order please", "How do I cancel my order?")
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Do you sell gift cards?", "Are there gift cards?"),
        ("do you ship to Norway", "is shipping to Norway possible"),
        ("你们卖礼品卡吗", "有礼品卡卖吗"),
    ],
)
def test_close_wordings_that_share_words_are_one_question(one: str, other: str) -> None:
    assert asked([row(one, 2), row(other)]) == [(one, other)]
    assert len(asked([row(one, 2), row(other)], cosine=0.6)) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("do you ship to Norway", "do you ship to Sweden"),
        ("can I return a lamp", "can I repair a sofa"),
    ],
)
def test_close_wordings_about_other_things_are_two(one: str, other: str) -> None:
    assert asked([row(one, 2), row(other)], cosine=0.9) == [(one,), (other,)]


def test_a_draft_has_the_sums_of_its_wordings() -> None:
    rows = [row("Are there gift cards?", 2, down=1), row("Do you sell gift cards?", 3)]

    [draft] = drafts_of(rows, closeness(0.8))

    assert draft.id == "Do you sell gift cards?"
    assert (draft.asked, draft.down, draft.first_at, draft.last_at) == (5, 1, 2.0, 10.0)
    assert [one.session_id for one in draft.examples] == [
        "s-Do you sell gift cards?", "s-Are there gift cards?",
    ]  # fmt: skip
    assert draft.wanted


def test_what_was_dismissed_is_not_shown_until_it_was_asked_often_enough_again() -> None:
    again = FAQ_DRAFT_AGAIN

    def wanted(*rows: DraftRow) -> bool:
        [draft] = drafts_of(rows, closeness(0.8))
        return draft.wanted

    gifts = "Do you sell gift cards?"
    assert not wanted(row(gifts, 7, dismissed=7))
    assert not wanted(row(gifts, 6 + again, dismissed=7))
    assert wanted(row(gifts, 7 + again, dismissed=7))
    # asked in other words it is the same question, and was dismissed with it
    assert not wanted(row(gifts, 7, dismissed=7), row("Are there gift cards?", again - 1))
    assert wanted(row(gifts, 7, dismissed=7), row("Are there gift cards?", again))
