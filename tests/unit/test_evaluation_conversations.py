"""Adapters of conversations: who asks, what was said before, which documents answer."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kotaemon_node.evaluation.asking import exchanges
from kotaemon_node.evaluation.sets.adapters import Source, load
from kotaemon_node.evaluation.sets.conversations import manual_rewrites
from kotaemon_node.evaluation.sets.form import Document


def put(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def said(role: str, text: str, *facts: Sequence[str]) -> dict[str, Any]:
    return {"role": role, "text": text, "facts": list(facts)}


def test_spoken_turns_ask_the_faq_of_what_the_talk_is_about(tmp_path: Path) -> None:
    entry = {"faq_id": "f1", "entity": "Hotel Sunrise", "question": "Parking?", "answer": "Yes."}
    put(tmp_path / "faq.jsonl", [entry])
    turns = [said("user", "a hotel"), said("assistant", "hotel sunrise"), said("user", "parking")]
    rows = [
        {"turn_id": "t1", "turns": turns, "gold_faq": ["f1"]},
        {"turn_id": "t2", "turns": turns[:1], "gold_faq": []},
    ]
    found = load(Source(put(tmp_path / "turns.jsonl", rows)))
    assert found.documents == [
        Document("f1", "Parking?\nYes.", "Hotel Sunrise", group="Hotel Sunrise")
    ]
    (question,) = found.questions
    assert (question.id, question.text, question.gold) == ("t1", "parking", {"f1": 1.0})
    assert question.history == (("user", "a hotel"), ("assistant", "hotel sunrise"))


def test_whoever_asks_of_an_entity_is_the_user(tmp_path: Path) -> None:
    put(tmp_path / "knowledge.jsonl", [{"doc_id": "temple", "text": "Open daily."}])
    turns = [
        said("user", "知道寺吗？"),
        said("assistant", "知道，门票多少钱？", ["temple", "x", "y"]),
        said("user", "免费。", ["temple", "price", "0"], ["elsewhere", "x", "y"]),
        said("assistant", "好。", ["temple", "x", "y"]),
    ]
    row = {"dialogue_id": "d", "entities": ["temple"], "turns": turns}
    found = load(Source(put(tmp_path / "dialogues.jsonl", [row])))
    assert [(it.id, it.text, it.gold) for it in found.questions] == [
        ("d:1", "知道寺吗？", {"temple": 1.0}),
        ("d:2", "知道，门票多少钱？", {"temple": 1.0}),
    ]
    assert found.questions[1].history == (("assistant", "知道寺吗？"),)


def test_rewrites_of_people_are_found_by_the_ids_of_their_questions(tmp_path: Path) -> None:
    turns = [
        {"n": "1-1", "text": "Tea?", "rewrite": "Tea?\r", "response": "Yes."},
        {"n": "1-3", "text": "Hot?", "rewrite": "Is tea hot?", "response": "Very."},
    ]
    path = put(tmp_path / "conversations.jsonl", [{"conversation_id": "c", "turns": turns}])
    questions = load(Source(path)).questions
    rewrites = manual_rewrites(path)
    assert [rewrites[it.id] for it in questions] == ["Tea?", "Is tea hot?"]


def test_conversations_of_one_id_that_begin_alike_ask_what_they_share_once(tmp_path: Path) -> None:
    begin = {"n": "1", "text": "Tea?", "rewrite": "Tea?", "response": "Yes."}
    ends = [{"n": "2", "text": t, "rewrite": t, "response": f"{t} So."} for t in ("Hot?", "Iced?")]
    rows = [{"conversation_id": "c", "turns": [begin, end]} for end in ends]
    path = put(tmp_path / "conversations.jsonl", rows)
    questions = load(Source(path)).questions
    assert [(it.id, it.text) for it in questions] == [
        ("c:1", "Tea?"),
        ("c:2", "Hot?"),
        ("c/2:2", "Iced?"),
    ]
    assert manual_rewrites(path)["c/2:2"] == "Iced?"


def test_what_was_said_is_paired_with_its_answers() -> None:
    history = [
        ("assistant", "Hello."),
        ("user", "Tea?"),
        ("user", "Or milk?"),
        ("assistant", "Both."),
        ("assistant", "Really."),
        ("user", "Fine."),
    ]
    assert exchanges(history) == [
        ("", "Hello."),
        ("Tea?", ""),
        ("Or milk?", "Both.\nReally."),
        ("Fine.", ""),
    ]
