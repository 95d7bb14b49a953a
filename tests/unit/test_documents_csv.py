"""CSV: an FAQ where its columns say so, else a table."""

import pytest

from kotaemon_node.adapters.documents.parsed import ParsedDocument
from kotaemon_node.adapters.documents.reading import parse_document
from kotaemon_node.domain.errors import DocumentRefused


def parsed(text: str) -> ParsedDocument:
    return parse_document("faq.csv", text.encode())


@pytest.mark.parametrize(
    "header", ["question,answer,tags", "Answer;Tags;QUESTION", "标签,问题,答案", "\ufeffq\ta"]
)
def test_each_row_with_question_and_answer_is_an_entry(header: str) -> None:
    sign = next(sign for sign in ",;\t" if sign in header)
    names = header.lower().strip("\ufeff").split(sign)
    values = {"question": "How long?", "answer": "Three days.", "tags": "shipping"}
    alias = {"问题": "question", "答案": "answer", "标签": "tags", "q": "question", "a": "answer"}
    row = sign.join(values[alias.get(name, name)] for name in names)
    empty = sign.join("" if alias.get(name, name) == "answer" else "x" for name in names)
    (entry,) = parsed(f"{header}\n{row}\n{empty}\n").blocks
    assert entry.kind == "faq"
    assert entry.text == "How long?\nThree days."
    assert entry.heading == (("shipping",) if len(names) == 3 else ())


def test_a_question_is_one_line_and_an_answer_may_be_several() -> None:
    (entry,) = parsed('question,answer\n"How\nlong?","Three days.\nOr four, by sea."\n').blocks
    assert entry.text == "How long?\nThree days.\nOr four, by sea."


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_other_columns_make_a_table_with_a_header(sign: str) -> None:
    (table,) = parsed(f"city{sign}days\nOslo{sign}3\n\nRome{sign}4\n").blocks
    assert table.kind == "table"
    assert table.text == "| city | days |\n| Oslo | 3 |\n| Rome | 4 |"
    assert table.header == "| city | days |"


def test_other_columns_of_an_faq_stand_below_the_answer_and_other_rows_in_a_table() -> None:
    rows = "No,question,answer,Since,\n1,How much?,20.,2024,\nA7,Why?,So.,,old\n2,,,,notes\n3,,,,\n"
    assert [(it.kind, it.text) for it in parsed(rows).blocks] == [
        ("faq", "How much?\n20.\nSince: 2024"),
        ("faq", "Why?\nSo.\nNo: A7\nold"),
        ("table", "| 2 |  |  |  | notes |"),
    ]


def test_a_cell_beyond_all_sense_is_refused() -> None:
    with pytest.raises(DocumentRefused, match="not a readable CSV"):
        parsed('a,"' + "x\n" * 100_000)


def test_an_faq_without_a_whole_entry_has_no_text() -> None:
    with pytest.raises(DocumentRefused, match="no text"):
        parsed("question,answer\nwhat?,\n")
