"""FAQ entries in files of their own, and other ways to ask in tables."""

import json
from typing import Any

import pytest

from coordinator.ingest import ingest
from kotaemon_node.adapters.documents.endings import unsupported
from kotaemon_node.adapters.documents.reading import parse_document
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused
from kotaemon_node.domain.faq_entries import FaqEntry, faq_document, faq_id


def read(said: Any, name: str = "returns.faq.json") -> list[tuple[str, tuple[str, ...]]]:
    document = parse_document(name, json.dumps(said).encode())
    assert {block.kind for block in document.blocks} == {"faq"}
    assert document.title == said["question"].strip()
    return [(block.text, block.heading) for block in document.blocks]


def test_an_entry_is_found_by_its_question_under_its_tags() -> None:
    said = {
        "question": " May I return it? ",
        "answer": "Yes.\n\nWithin 30 days.",
        "tags": ["a", "b"],
    }
    assert read(said) == [("May I return it?\nYes.\n\nWithin 30 days.", ("a, b",))]
    assert unsupported("x/Returns.FAQ.json") is None
    assert unsupported("returns.json") is not None


def test_each_way_to_ask_is_an_entry_with_the_same_answer() -> None:
    said = {"question": "Q?", "answer": "A.", "variants": ["V?", "Q?", " ", "W?"]}
    assert [text for text, _ in read(said)] == ["Q?\nA.", "V?\nA.", "W?\nA."]


@pytest.mark.parametrize("column", ["variants", "Similar questions", "相似问"])
def test_a_table_has_a_column_for_other_ways_to_ask(column: str) -> None:
    rows = f'question,answer,{column}\nQ?,A.,"V?\nW? ; Q?；X?"\nR?,B.,\n'
    blocks = parse_document("faq.csv", rows.encode()).blocks
    assert [block.text for block in blocks] == ["Q?\nA.", "V?\nA.", "W?\nA.", "X?\nA.", "R?\nB."]


def test_the_largest_entry_is_one_passage_for_each_way_to_ask() -> None:
    entry = FaqEntry.of(
        "问" * limits.FAQ_QUESTION_CHARS_MAX,
        "答" * limits.FAQ_ANSWER_CHARS_MAX,
        variants=[f"{n:03}" + "问" * (limits.FAQ_QUESTION_CHARS_MAX - 3) for n in range(20)],
    )
    assert entry.too_large() is None
    read = ingest("big.faq.json", entry.to_json())
    assert read.reason is None
    assert [it.kind for it in read.passages] == ["faq"] * 21


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "it is not JSON"),
        ("[1]", "not a JSON object like"),
        ("{}", "'question' is not a text"),
        ('{"question": "Q?", "answer": 1}', "'answer' is not a text"),
        ('{"question": " ", "answer": "A."}', "needs a question and an answer"),
        ('{"question": "Q?", "answer": "A.", "tags": "x"}', "'tags' is not a list of texts"),
        ('{"question": "Q?", "answer": "A.", "tags": ["x,y"]}', "must not contain a comma"),
        ('{"question": "Q?", "answer": "A.", "variants": [1]}', "'variants' is not a list"),
        ('{"question": "%s", "answer": "A."}' % ("q" * 201), "question has more than 200"),
        ('{"question": "Q?", "answer": "%s"}' % ("a" * 2901), "answer has more than 2900"),
        ('{"question": "\\ud800", "answer": "A."}', "needs a question and an answer"),
        ("[" * 100_000, "nested too deep|not JSON"),
    ],
)  # fmt: skip
def test_what_is_no_entry_says_why(content: str, reason: str) -> None:
    with pytest.raises(DocumentRefused, match=reason):
        parse_document("a.faq.json", content.encode())


def test_the_same_entry_has_the_same_bytes() -> None:
    one = FaqEntry.of(" Q\n? ", "A.\r\n", tags=["t", "t"], variants=["V", "Q ?"])
    other = FaqEntry.of("Q ?", "A.", tags=["t"], variants=["V"])
    assert one.to_json() == other.to_json()


@pytest.mark.parametrize(
    ("kb", "entry_id", "document"),
    [("default", "a.b-1", "a.b-1.faq.json"), ("shop", "x", "shop/x.faq.json")],
)
def test_an_entry_of_an_id_is_a_document_of_its_knowledge_base(
    kb: str, entry_id: str, document: str
) -> None:
    assert faq_document(kb, entry_id) == document
    assert faq_id(document) == entry_id


@pytest.mark.parametrize(
    "document", ["default/x.faq.json", "shop/a/x.faq.json", "退货.faq.json", "x.json", ".faq.json"]
)
def test_other_documents_have_no_id_of_their_own(document: str) -> None:
    assert faq_id(document) is None
