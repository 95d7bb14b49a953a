"""Sentence splitting by example: what people write, and where a reader would stop."""

import time

import pytest

from kotaemon_node.domain.sentences import sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "expected",
    [
        ["Dr. Smith paid 3.5 dollars.", "It was 5 p.m.", "The shop (see Fig. 3) closed."],
        ["We ship to the U.S. and Canada.", "Delivery takes 2-3 days."],
        ["Our goods, e.g. Lamps, vs. Chairs etc. are fine.", "Really?", "Yes!"],
        ["See No. 5 by J. R. Moss.", "No.", "It is not."],
        ['He said "Stop."', "Then he left.", "(It was late.)"],
        ["Visit example.com or v1.2.3 today.", "Done."],
        ["您好！", "请问可以退货吗?", "可以。", "“七天内。”", "不行？！"],
        ["See Fig. S2 of Moss et al. (2020), Proc. Natl. Acad. Sci. 34, 601.", "It is new."],
        ["In Frame v. Amazon the court said so.", "Use INSERT ... ON or f(...) here.", "So..."],
        [
            "（要退货吗？），请看说明。",
            "他问：“可以吗？”她说，可以。",
            "“是吗？”小王问道。",
            "“好。”",
        ],
        ['He said: "Stop. Now." and left (it was late. Very late.) for good.', '"No. Not I."'],
        ["他说：“可以。”", "订单于是发出；共三件；已付款。", "“好！”", "然后走了。"],
        ["第1.5条规定如下。", "电话：010-1234。", "iPhone 15 Pro 支持。"],
    ],
)
def test_sentences_end_where_a_reader_stops(expected: list[str]) -> None:
    separator = "" if "。" in "".join(expected) else " "
    assert sentences(separator.join(expected)) == expected


def test_headings_items_and_rows_are_sentences_of_their_own() -> None:
    lines = [
        "# Shipping",
        "- Item one",
        "- Item two",
        "1. First step.",
        "2. Second step",
        "| a | b |",
        "| 1. | c |",
        "Afterwards",
    ]
    assert sentences("\n".join(lines)) == lines


def test_a_wrapped_line_goes_on_and_a_short_one_does_not() -> None:
    # Given a paragraph wrapped at its margin, then a line that had room for more
    wrapped = (
        "This paragraph of a text file goes on beyond the right margin\nand it ends on this line."
    )
    assert sentences(wrapped + "\nOpening hours\nNine to five") == [
        wrapped,
        "Opening hours",
        "Nine to five",
    ]


def test_a_blank_line_ends_a_sentence_without_a_mark() -> None:
    assert sentences("One without a mark\n\nanother\n \t\n") == ["One without a mark", "another"]


def test_nothing_has_no_sentences() -> None:
    assert sentences("") == []
    assert sentences(" \n\t ") == []


@pytest.mark.parametrize(
    "hostile", ["." * 200_000 + "x", "?" * 200_000, "A. " * 70_000, "a\n" * 70_000]
)
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    started = time.perf_counter()
    sentence_spans(hostile)
    assert time.perf_counter() - started < 5.0
