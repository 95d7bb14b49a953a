"""Adapters: each form of published data, on made-up rows of that form."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.evaluation.errors import ExperimentError
from kotaemon_node.evaluation.sets.adapters import Source, load
from kotaemon_node.evaluation.sets.cutting import sampled, without
from kotaemon_node.evaluation.sets.form import DataSet, Document, Question

Rows = Sequence[Mapping[str, Any]]

PASSAGES: Rows = (
    {"passage_id": "p1", "doc_id": "d1", "title": "Tea", "lang": "en", "text": "Tea is hot."},
    {"passage_id": "p2", "doc_id": "d1", "title": "茶", "lang": "zh", "text": "茶是热的。"},
)
QUERIES: Rows = (
    {
        "query_id": "q1",
        "lang": "en",
        "query": "What is tea?",
        "answers": ["hot"],
        "gold_passages": ["p1"],
        "gold_other_lang": ["p2"],
    },
    {"query_id": "q2", "lang": "zh", "query": "茶是什么？", "gold_passages": {"p2": 2, "p1": 0}},
)


def put(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_queries_and_passages(tmp_path: Path) -> None:
    put(tmp_path / "tea" / "dev" / "passages.jsonl", PASSAGES)
    path = put(tmp_path / "tea" / "dev" / "queries.jsonl", QUERIES)

    both = load(Source(path))
    assert both.name == "tea/queries"
    assert [it.name for it in both.documents] == ["p1", "p2"]
    assert both.documents[0] == Document("p1", "Tea is hot.", "Tea", group="d1")
    assert [it.gold for it in both.questions] == [{"p1": 1.0}, {"p2": 2.0}]

    one = load(Source(path, language="en"))
    assert (one.name, len(one.documents), len(one.questions)) == ("tea/queries en", 1, 1)
    assert one.questions[0].answers == ("hot",)
    assert one.digest != both.digest


def test_questions_in_one_language_about_documents_in_another(tmp_path: Path) -> None:
    put(tmp_path / "passages.jsonl", PASSAGES)
    path = put(tmp_path / "queries.jsonl", QUERIES[:1])
    found = load(Source(path, language="en", documents_in="zh"))
    assert [it.name for it in found.documents] == ["p2"]
    assert found.questions[0].gold == {"p2": 1.0}
    assert found.questions[0].answers == ()


def test_whole_documents_with_unsolvable_questions(tmp_path: Path) -> None:
    put(tmp_path / "documents.jsonl", [{"doc_id": "d1", "name": "A", "lang": "en", "text": "One."}])
    base = {"lang": "en", "answers": ["x"], "gold_docs": ["d1"]}
    path = put(
        tmp_path / "queries.jsonl",
        [
            {**base, "query_id": "q1", "query": "Q?", "type": "Factual Question"},
            {**base, "query_id": "q2", "query": "R?", "type": "Irrelevant Unsolvable Question"},
        ],
    )
    found = load(Source(path)).questions
    assert [(it.answerable, dict(it.gold)) for it in found] == [(True, {"d1": 1.0}), (False, {})]


def test_answers_in_two_languages_need_one(tmp_path: Path) -> None:
    put(tmp_path / "answers.jsonl", [{"answer_id": "1", "en": "Yes.", "zh": "是。"}])
    path = put(
        tmp_path / "queries.jsonl",
        [{"query_id": "q", "query_en": "Is it?", "query_zh": "是吗？", "gold_answers": ["1"]}],
    )
    with pytest.raises(ExperimentError, match="language is needed"):
        load(Source(path))
    found = load(Source(path, language="zh", documents_in="en"))
    assert (found.documents[0].text, found.questions[0].text) == ("Yes.", "是吗？")


def test_an_faq_is_asked_its_own_questions(tmp_path: Path) -> None:
    row = {"faq_id": "f1", "lang": "en", "question": "How?", "answer": "*So*."}
    found = load(Source(put(tmp_path / "faq.jsonl", [row])))
    assert found.documents == [Document("f1", "*So*.", markdown=True)]
    assert found.questions == [Question("f1", "How?", {"f1": 1.0})]


def test_conversations_ask_their_last_turn(tmp_path: Path) -> None:
    put(tmp_path / "passages.jsonl", [{"passage_id": "p1", "text": "Tea."}])
    turns = [
        {"role": "user", "text": "Tea?"},
        {"role": "assistant", "text": "Yes."},
        {"role": "user", "text": "How hot?"},
    ]
    rows = [
        {"task_id": kind, "turns": turns, "gold_passages": gold, "answerability": [kind]}
        for kind, gold in (("ANSWERABLE", ["p1"]), ("UNANSWERABLE", []), ("UNDERSPECIFIED", []))
    ]
    found = load(Source(put(tmp_path / "tasks.jsonl", rows))).questions
    # To an underspecified question neither an answer nor a refusal is right.
    assert [(it.id, it.answerable) for it in found] == [
        ("ANSWERABLE", True),
        ("UNANSWERABLE", False),
    ]
    assert found[0].text == "How hot?"
    assert found[0].history == (("user", "Tea?"), ("assistant", "Yes."))


def test_conversations_whose_answers_are_the_documents(tmp_path: Path) -> None:
    turns = [
        {"n": 1, "text": "Tea?", "rewrite": "Tea?", "response": "Yes."},
        {"n": 2, "text": "Hot?", "rewrite": "Is tea hot?"},
        {"n": 3, "text": "And now?", "rewrite": "Is tea hot now?", "response": "Yes."},
    ]
    row = {"conversation_id": "c", "turns": turns}
    found = load(Source(put(tmp_path / "conversations.jsonl", [row])))
    assert [it.text for it in found.documents] == ["Yes."]
    assert [it.id for it in found.questions] == ["c:1", "c:3"]
    assert found.questions[1].history == (("user", "Tea?"), ("assistant", "Yes."), ("user", "Hot?"))


def test_reviews_answer_the_last_turn_of_a_conversation(tmp_path: Path) -> None:
    snippet = {"snippet_id": "s1", "entity": "Inn", "lang": "en", "text": "It is quiet."}
    put(tmp_path / "snippets.jsonl", [snippet])
    turns = [
        {"role": "user", "text": "A hotel?"},
        {"role": "assistant", "text": "The Inn."},
        {"role": "user", "text": "Is it loud?"},
    ]
    rows = [
        {"turn_id": "t1", "turns": turns, "gold_snippets": ["s1"]},
        {"turn_id": "t2", "turns": turns[:1], "gold_snippets": []},
    ]
    found = load(Source(put(tmp_path / "turns.jsonl", rows)))
    assert found.documents == [Document("s1", "It is quiet.", "Inn", group="Inn")]
    # A turn that needs no document asks nothing of the search.
    assert [(it.id, it.text, dict(it.gold)) for it in found.questions] == [
        ("t1", "Is it loud?", {"s1": 1.0})
    ]
    assert found.questions[0].history == (("user", "A hotel?"), ("assistant", "The Inn."))


def test_own_questions_name_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "knowledge" / "shop").mkdir(parents=True)
    (tmp_path / "knowledge" / "shop" / "returns.md").write_text("# Returns")
    rows = [
        {"question": "How long?", "documents": ["shop/returns.md"], "answers": "30 days"},
        {"question": "Who won?", "documents": [], "answerable": False},
    ]
    path = put(tmp_path / "questions.jsonl", rows)
    found = load(Source(path))
    assert found.folder == tmp_path / "knowledge"
    assert [(it.id, it.answerable, it.answers) for it in found.questions] == [
        ("q1", True, ("30 days",)),
        ("q2", False, ()),
    ]
    before = found.digest
    (tmp_path / "knowledge" / "shop" / "returns.md").write_text("# Others")
    assert load(Source(path)).digest != before


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "has no rows"),
        ([{"x": 1}], r"queries.jsonl:1: its fields are of no known form \(own: "),
        ([{**QUERIES[0], "gold_passages": ["p9"]}], "question 'q1' names 'p9', which is no docu"),
        ([QUERIES[0], QUERIES[0]], "question 'q1' is there twice"),
        ([{**QUERIES[0], "query": 3}], "queries.jsonl:1: query must be a text"),
        ([QUERIES[0], {**QUERIES[1], "gold_passages": 3}], "queries.jsonl:2: gold_passages must"),
    ],
)
def test_data_that_cannot_be_used_says_where(tmp_path: Path, rows: Rows, told: str) -> None:
    put(tmp_path / "passages.jsonl", PASSAGES)
    with pytest.raises(ExperimentError, match=told):
        load(Source(put(tmp_path / "queries.jsonl", rows)))


def test_a_line_that_is_no_json_says_where(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(json.dumps(QUERIES[0]) + "\n\n{oops")
    put(tmp_path / "passages.jsonl", PASSAGES)
    with pytest.raises(ExperimentError, match=r"queries.jsonl:3: this is no JSON"):
        load(Source(path))
    with pytest.raises(ExperimentError, match="does not exist"):
        load(Source(tmp_path / "none.jsonl"))


def test_samples_and_left_out_documents_depend_on_the_seed_alone() -> None:
    documents = [Document(f"d{n}", "text", group=f"g{n % 10}") for n in range(100)]
    questions = [Question(f"q{n}", "?", {f"d{n}": 1.0}) for n in range(100)]
    data = DataSet("x", documents, questions)
    some = sampled(data, questions_max=20, seed=1).questions
    assert some == sampled(data, questions_max=20, seed=1).questions
    assert some != sampled(data, questions_max=20, seed=2).questions
    assert [it.id for it in some] == sorted((it.id for it in some), key=lambda it: int(it[1:]))

    cut = without(data, left_out=0.5, seed=3)
    left = {it.group for it in cut.documents}
    # Whole groups: a neighbour of the passage that was left out would give the answer away.
    assert [it.group in left for it in documents] == [it in cut.documents for it in documents]
    assert 0 < len(left) < 10
    kept = {it.name for it in cut.documents}
    assert all(it.answerable == (f"d{it.id[1:]}" in kept) for it in cut.questions)
