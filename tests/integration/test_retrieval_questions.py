"""Real questions in both languages, found and answered by their words alone: floors to stand on.

No encoder takes part, so this runs anywhere; what the whole search does is measured by
``load/bench/answers.py``.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.engine.extractive import ExtractiveAnswer, extract
from kotaemon_node.retrieval.searcher import Searcher
from tests.fakes.encoder import HashingEncoder
from tests.fakes.knowledge import open_generation

QUESTIONS = 150


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what it should come to."""

    text: str
    gold: str
    answers: Sequence[str]


def rows(data: Path, name: str, language: str) -> Iterator[dict[str, Any]]:
    for line in (data / "xquad_en_zh" / "dev" / f"{name}.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["lang"] == language:
            yield row


def knowledge(data: Path, language: str, folder: Path, *, articles: set[str] | None) -> Searcher:
    """Index the passages of these articles; None: of all."""
    documents = {
        # A blank line would make two passages of one in this store.
        row["passage_id"]: " ".join(row["text"].split())
        for row in rows(data, "passages", language)
        if articles is None or row["doc_id"] in articles
    }
    return Searcher(
        open_generation(folder, [documents], HashingEncoder()),
        encode=lambda _: {},
        compute=lambda work, *arguments: work(*arguments),
        background={},
    )


def questions(data: Path, language: str) -> list[Asked]:
    found = [
        Asked(row["query"], row["gold_passages"][0], row["answers"])
        for row in rows(data, "queries", language)
    ]
    return found[:: len(found) // QUESTIONS]


def squeezed(text: str) -> str:
    return "".join(text.lower().split())


@pytest.mark.data
@pytest.mark.parametrize("language", ["en", "zh"])
def test_questions_find_and_show_their_answers(
    public_data: Path, tmp_path: Path, language: str
) -> None:
    searcher = knowledge(public_data, language, tmp_path, articles=None)
    first = contained = cited = 0
    asked = questions(public_data, language)
    for question in asked:
        hits = searcher.search(question.text, top_k=4).hits
        answer = extract(question.text, hits)
        first += bool(hits) and hits[0].passage.document == question.gold
        contained += any(squeezed(it) in squeezed(answer.text) for it in question.answers)
        cited += bool(answer.cited) and answer.cited[0].passage.document == question.gold
    # Without closeness a question of few words, or of others than the text's, is not answered.
    assert first / len(asked) >= 0.9
    assert contained / len(asked) >= 0.5
    assert cited / len(asked) >= 0.5


@pytest.mark.data
@pytest.mark.parametrize("language", ["en", "zh"])
def test_questions_about_what_is_not_there_are_not_answered(
    public_data: Path, tmp_path: Path, language: str
) -> None:
    articles = sorted({row["doc_id"] for row in rows(public_data, "passages", language)})
    kept = set(articles[1::2])
    searcher = knowledge(public_data, language, tmp_path, articles=kept)
    left_out = {
        row["passage_id"]
        for row in rows(public_data, "passages", language)
        if row["doc_id"] not in kept
    }
    answers: list[ExtractiveAnswer] = [
        extract(question.text, searcher.search(question.text, top_k=4).hits)
        for question in questions(public_data, language)
        if question.gold in left_out
    ]
    assert len(answers) > QUESTIONS / 4
    assert sum(answer.known for answer in answers) / len(answers) <= 0.03
