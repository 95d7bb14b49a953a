"""What the extractive generator says, and what it never does."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kotaemon_node.domain.knowledge import Hit, Passage, PassageKind
from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.extractive import ExtractiveAnswer, extract

SHIPPING = (
    "We ship lamps from our own stock. Delivery of a lamp takes two to three days. "
    "Sofas are delivered by lorry within four weeks."
)
RETURNS = "A lamp may be returned within 30 days. The buyer pays for the parcel."
SHIPPING_ZH = "台灯从本店仓库发货。台灯的送货时间为两到三天。沙发由货车在四周内送达。"


def hit(
    text: str,
    *,
    contrast: float | None = 0.6,
    coverage: float = 0.6,
    kind: PassageKind = "text",
    document: str = "d.md",
) -> Hit:
    passage = Passage(
        id=f"id-{document}",
        document=document,
        revision="r",
        title="T",
        heading=(),
        page=None,
        span=(0, len(text)),
        text=text,
        language=language_of(text),
        kind=kind,
    )
    return Hit(
        passage, score=0.03, dense=contrast, lexical=1.0, coverage=coverage, contrast=contrast
    )


def texts(answer: ExtractiveAnswer) -> list[str]:
    return [sentence.text for sentence in answer.sentences]


def test_the_sentence_that_answers_is_cited() -> None:
    answer = extract("How long does the delivery of a lamp take?", [hit(SHIPPING)])
    assert answer.known
    assert answer.text.startswith("Delivery of a lamp takes two to three days. [1]")
    assert [cited.passage.text for cited in answer.cited] == [SHIPPING]


def test_chinese_is_answered_in_chinese_without_blanks() -> None:
    answer = extract("沙发什么时候能送达？", [hit(SHIPPING_ZH)])
    assert answer.text == "沙发由货车在四周内送达。[1]"


def test_each_passage_has_its_own_number_in_the_order_of_the_text() -> None:
    hits = [
        hit("Chairs are made of oak.", document="a", coverage=0.0, contrast=0.1),
        hit(RETURNS, document="b"),
        hit("Each returned lamp is tested for two days.", document="c", contrast=0.5),
    ]
    answer = extract("Can a lamp be returned?", hits)
    assert [cited.passage.document for cited in answer.cited] == ["b", "c"]
    numbers = [sentence.n for sentence in answer.sentences]
    assert numbers == sorted(numbers)
    for sentence in answer.sentences:
        assert sentence.text in answer.cited[sentence.n - 1].passage.text
        assert f"{sentence.text} [{sentence.n}]" in answer.text


def test_an_faq_entry_answers_with_its_answer() -> None:
    entry = "May I return a lamp?\nYes, within 30 days. Keep the box."
    answer = extract("May I return a lamp?", [hit(entry, kind="faq"), hit(RETURNS)])
    assert answer.text == "Yes, within 30 days. Keep the box. [1]"


def test_a_long_faq_answer_is_cut_between_sentences() -> None:
    entry = "How?\n" + "Do this and then do that, and mind the gap. " * 60
    answer = extract("How?", [hit(entry.strip(), kind="faq")])
    assert texts(answer) == ["Do this and then do that, and mind the gap."] * 3


def test_an_faq_entry_without_an_answer_is_shown_as_it_is() -> None:
    assert extract("How?", [hit("How?", kind="faq")]).text == "How? [1]"


@pytest.mark.parametrize(
    ("question", "beginning"),
    [("Where is Mars?", "I don't know"), ("火星在哪里？", "我不知道")],
)
@pytest.mark.parametrize("hits", [[], [hit(SHIPPING, contrast=0.2, coverage=0.1)]])
def test_when_nothing_fits_it_says_so_in_the_language_of_the_question(
    question: str, beginning: str, hits: Sequence[Hit]
) -> None:
    answer = extract(question, hits)
    assert not answer.known
    assert answer.text.startswith(beginning)
    assert (answer.sentences, answer.cited) == ((), ())
    assert "[" not in answer.text


def test_how_much_must_speak_for_an_answer_may_be_chosen() -> None:
    question, one = "Delivery of a lamp?", hit(SHIPPING, contrast=0.1, coverage=0.2)
    assert not extract(question, [one]).known
    assert extract(question, [one], evidence_min=0.3).known
    assert not extract(question, [replace(one, contrast=0.9)], evidence_min=1.9).known


def test_passages_of_the_questions_language_go_first() -> None:
    english = hit(SHIPPING, contrast=0.5, coverage=0.4, document="en")
    chinese = hit(SHIPPING_ZH, contrast=0.9, coverage=0.0, document="zh")
    assert extract("How long does delivery take?", [chinese, english]).cited == (english,)
    assert extract("送货要多长时间？", [english, chinese]).cited == (chinese,)


def test_what_is_known_in_the_other_language_only_is_shown_and_said_to_be() -> None:
    answer = extract("送货要多长时间？", [hit(SHIPPING, contrast=0.5, coverage=0.0)])
    assert answer.known
    assert answer.text.startswith("文档中只有其他语言的说明，原文如下：")
    weak = hit(SHIPPING, contrast=0.2, coverage=0.0)
    assert not extract("送货要多长时间？", [weak]).known


def test_at_most_three_sentences_are_shown() -> None:
    text = " ".join(f"A lamp of kind {number} is sold." for number in range(20))
    assert len(extract("Which lamps are sold?", [hit(text)]).sentences) == 3


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("Do you ship to Europe?", "No. We ship to Singapore and Hong Kong. [1]"),
        ("do you ship to Europe", "No. We ship to Singapore and Hong Kong. [1]"),
        (
            "Do you ship lamps to Hong Kong?",
            "Do you ship to Europe?\nNo. We ship to Singapore and Hong Kong. [1]",
        ),
    ],
)
def test_a_no_stands_beside_the_question_that_it_answers(asked: str, shown: str) -> None:
    entry = "Do you ship to Europe?\nNo. We ship to Singapore and Hong Kong."
    assert extract(asked, [hit(entry, kind="faq")]).text == shown


def test_an_entry_that_says_more_than_yes_or_no_answers_other_questions_by_itself() -> None:
    entry = "Where do you ship to?\nWe ship to Singapore and Hong Kong."
    answer = extract("Do you ship lamps to Hong Kong?", [hit(entry, kind="faq")])
    assert answer.text == "We ship to Singapore and Hong Kong. [1]"
    answer = extract(
        "台灯能送到香港吗？",
        [hit("能送到欧洲吗？\n不可以。我们只送到香港。", kind="faq", document="zh")],
    )
    assert answer.text == "能送到欧洲吗？\n不可以。我们只送到香港。[1]"
