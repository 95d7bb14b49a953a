"""Samples of public question sets, tuning halves only: questions, passages, which answers which."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSAGES_MAX = 240
QUERIES_MAX = 100
SEED = 3


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions with the passages that answer them, as numbers into ``passages``."""

    name: str
    passages: tuple[str, ...]
    queries: tuple[str, ...]
    gold: tuple[frozenset[int], ...]


def question_sets(data: Path) -> Iterator[QuestionSet]:
    """Yield the samples. Passages are the text alone, without title or heading."""
    xquad = _rows(data, "xquad_en_zh/dev/passages")
    asked = _rows(data, "xquad_en_zh/dev/queries")
    for ask, find in (("en", "en"), ("zh", "zh"), ("zh", "en")):
        gold = "gold_passages" if ask == find else "gold_other_lang"
        passages = {row["passage_id"]: row["text"] for row in xquad if row["lang"] == find}
        queries = [(row["query"], row[gold]) for row in asked if row["lang"] == ask]
        yield _sample(f"xquad {ask}->{find}", passages, queries)
    yield _sample(
        "xquad, both languages in store",
        {row["passage_id"]: row["text"] for row in xquad},
        [(row["query"], row["gold_passages"]) for row in asked],
    )
    for name in ("cmrc2018_dev", "redis_docs", "tidb_docs_zh"):
        yield _passages_and_queries(name, data, f"{name}/dev/passages", f"{name}/dev/queries")
    for language in ("en", "zh"):
        yield _passages_and_queries(
            f"dify_docs {language}",
            data,
            f"dify_docs_en_zh/dev/passages.{language}",
            f"dify_docs_en_zh/dev/queries.{language}",
        )
    answers = _rows(data, "insuranceqa_en_zh/dev/answers")
    asked = _rows(data, "insuranceqa_en_zh/dev/queries")
    for language in ("en", "zh"):
        passages = {row["answer_id"]: row[language] for row in answers}
        queries = [(row[f"query_{language}"], row["gold_answers"]) for row in asked]
        yield _sample(f"insuranceqa {language}", passages, queries)
    pairs = _rows(data, "covid_faq/dev/pairs")
    questions = {row["question_1"]: row["question_1"] for row in pairs}
    same = [(row["question_2"], [row["question_1"]]) for row in pairs if row["similar"]]
    yield _sample("covid_faq", questions, same)
    faq = _rows(data, "tidb_faq_zh/dev/faq")
    yield _sample(
        "tidb_faq_zh",
        {row["faq_id"]: row["answer"] for row in faq},
        [(row["question"], [row["faq_id"]]) for row in faq],
    )


def _rows(data: Path, name: str) -> list[dict[str, Any]]:
    with (data / f"{name}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _passages_and_queries(name: str, data: Path, passages: str, queries: str) -> QuestionSet:
    return _sample(
        name,
        {row["passage_id"]: row["text"] for row in _rows(data, passages)},
        [(row["query"], row["gold_passages"]) for row in _rows(data, queries)],
    )


def _sample(
    name: str, passages: Mapping[str, str], queries: Sequence[tuple[str, Sequence[str]]]
) -> QuestionSet:
    """Draw questions, then their gold passages and others up to the limit."""
    chance = random.Random(f"{SEED} {name}")
    answerable = [(text, set(gold) & passages.keys()) for text, gold in queries]
    answerable = [(text, gold) for text, gold in answerable if gold]
    drawn = chance.sample(answerable, min(QUERIES_MAX, len(answerable)))
    needed = sorted(set().union(*(gold for _, gold in drawn)))
    others = sorted(passages.keys() - set(needed))
    room = max(0, min(PASSAGES_MAX - len(needed), len(others)))
    ids = needed + chance.sample(others, room)
    chance.shuffle(ids)
    number = {identity: row for row, identity in enumerate(ids)}
    return QuestionSet(
        name=name,
        passages=tuple(passages[identity] for identity in ids),
        queries=tuple(text for text, _ in drawn),
        gold=tuple(frozenset(number[identity] for identity in gold) for _, gold in drawn),
    )
