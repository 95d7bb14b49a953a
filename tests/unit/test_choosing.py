"""Which sentences are shown, and what is shown beside them so that they are understood."""

import pytest

from kotaemon_node.domain.knowledge import Passage, PassageKind
from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.choosing import PIECES_MAX, choose
from kotaemon_node.engine.matching import shares, stems_of


def passage(text: str, *, kind: PassageKind = "text", heading: tuple[str, ...] = ()) -> Passage:
    return Passage(
        id="id",
        document="d.md",
        revision="r",
        title="T",
        heading=heading,
        page=None,
        span=(0, len(text)),
        text=text,
        language=language_of(text),
        kind=kind,
    )


def chosen(question: str, *passages: Passage) -> list[str]:
    return [it.text for it in choose(question, passages, evidence=[1.0] * len(passages))]


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        (
            "Does the Orbit lamp dim?",
            "The Orbit lamp hangs. It can dim the light of the Orbit. Chairs are of oak.",
            ["The Orbit lamp hangs.", "It can dim the light of the Orbit."],
        ),
        (
            "台灯可以调光吗？",
            "本店出售轨道台灯。该台灯可以调光。椅子由橡木制成。",
            ["本店出售轨道台灯。", "该台灯可以调光。"],
        ),
        ("Of what are chairs?", "Lamps are dim. Chairs are of oak.", ["Chairs are of oak."]),
    ],
)
def test_what_leans_on_the_sentence_before_is_shown_with_it(
    question: str, text: str, expected: list[str]
) -> None:
    assert chosen(question, passage(text)) == expected


def test_a_short_list_is_shown_whole_with_the_line_that_opens_it() -> None:
    text = "To return a lamp:\n- pack it\n- print the label\n- send it\n\nSofas are fetched by us."
    assert chosen("How do I return a lamp?", passage(text)) == [
        "To return a lamp:\n- pack it\n- print the label\n- send it"
    ]


def test_an_item_of_a_long_list_comes_with_the_line_that_opens_it() -> None:
    items = "".join(
        f"- part {n} is made of steel and of glass, as it has always been\n" for n in range(30)
    )
    text = f"The parts of the lamp:\n{items}- the shade is made of linen\n"
    found = chosen("What is the shade made of?", passage(text))
    assert found[0] == "The parts of the lamp:"
    assert "- the shade is made of linen" in found


def test_a_row_of_a_long_table_comes_with_its_header_where_that_is_in_the_text() -> None:
    rows = "".join(f"| Product {n} | {n} dollars | in stock and ready |\n" for n in range(60))
    header = "| Name | Price | State |"
    text = f"{header}\n{rows}| Aurora | 18 dollars | sold out |"

    found = chosen("What is the price of Aurora?", passage(text, kind="table"))
    assert found[0] == header
    assert "| Aurora | 18 dollars | sold out |" in found

    later = passage(text.partition("\n")[2], kind="table", heading=("Prices", header))
    assert (
        chosen("What is the price of Aurora?", later)[0]
        != "| Product 0 | 0 dollars | in stock and ready |"
    )


@pytest.mark.parametrize(
    ("question", "right"),
    [
        ("When was the lamp shop of Lund opened?", "The lamp shop was opened in 1987."),
        ("Who opened the lamp shop of Lund?", "The lamp shop was opened by Karin Berg."),
        ("隆德的台灯店是哪年开业的？", "台灯店于1987年开业。"),
    ],
)
def test_of_sentences_alike_the_one_with_what_is_asked_for_goes_first(
    question: str, right: str
) -> None:
    others = {
        "en": ["The lamp shop was opened again and again.", "The lamp shop was opened with joy."],
        "zh": ["台灯店的开业很热闹。", "台灯店开业后很忙。"],
    }[language_of(question)]
    lines = [passage(text) for text in (*others, right)]
    assert chosen(question, *lines)[0] == right


def test_no_more_than_three_pieces_are_shown_however_many_lean() -> None:
    text = "A lamp is sold. " + "It is a lamp that is sold. " * 9
    assert 1 < len(chosen("Which lamp is sold?", passage(text))) <= PIECES_MAX


def test_words_meet_whatever_their_ending() -> None:
    for one, other in (
        ("shipping", "shipped"),
        ("call", "calling"),
        ("policies", "policy"),
        ("returned", "returns"),
        ("delivery", "deliveries"),
    ):
        assert shares(one, [stems_of(other), stems_of("nothing of it")]) == [1.0, 0.0]


def test_a_word_that_every_sentence_holds_weighs_least() -> None:
    texts = [stems_of(text) for text in ("lamp here", "lamp there", "lamp warranty")]
    found = shares("lamp warranty", texts)
    assert found[2] == pytest.approx(1.0)
    assert found[0] == found[1] < 0.2
