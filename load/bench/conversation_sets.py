"""Conversations of public sets, tuning halves, as one form: what was asked, and asked otherwise."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kotaemon_node.domain.language import Language
from kotaemon_node.evaluation.sets.adapters import Source, load
from kotaemon_node.evaluation.sets.conversations import manual_rewrites
from kotaemon_node.evaluation.sets.form import DataSet, Question

CONVERSATIONS: Final[Mapping[str, str]] = {
    "cast": "cast/dev/conversations.jsonl",
    "mtrag-un": "mtrag_un/dev/tasks.jsonl",
    "kdconv-zh": "kdconv_travel_zh/dev/dialogues.jsonl",
    "domainrag-zh": "domainrag_zh/dev/queries.jsonl",
    "dstc10": "dstc10_faq/dev/turns.jsonl",
}
ALONE: Final[Mapping[str, tuple[str, Language | None]]] = {
    "insuranceqa-en": ("insuranceqa_en_zh/dev/queries.jsonl", "en"),
    "insuranceqa-zh": ("insuranceqa_en_zh/dev/queries.jsonl", "zh"),
    "hotpot": ("hotpot_sample/dev/queries.jsonl", None),
    "covid-faq": ("covid_faq/dev/faq.jsonl", None),
    "tidb-faq-zh": ("tidb_faq_zh/dev/faq.jsonl", None),
    "xquad-en": ("xquad_en_zh/dev/queries.jsonl", "en"),
    "cmrc2018": ("cmrc2018_dev/dev/queries.jsonl", None),
}
_SEED: Final = 7
_ASKED_MAX: Final = 250
_ALONE_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Conversations:
    """A set whose questions have a history, and the same questions as people wrote them alone."""

    data: DataSet
    references: Mapping[str, str]


def conversations(name: str, data: Path) -> Conversations:
    """Return a set of ``CONVERSATIONS``, without what has no gold or nothing before it."""
    path = data / CONVERSATIONS[name]
    found = load(Source(path))
    asked = [it for it in found.questions if it.gold and it.answerable and it.history]
    asked = random.Random(f"{_SEED} {name}").sample(asked, min(_ASKED_MAX, len(asked)))
    references = manual_rewrites(path) if name == "cast" else {}
    return Conversations(replace(found, questions=asked), references)


def behind_another(name: str, data: Path) -> DataSet:
    """Return questions that stand alone, each behind one of the same set and its right passage."""
    path, language = ALONE[name]
    found = load(Source(data / path, language=language))
    chance = random.Random(f"{_SEED} {name}")
    asked = [it for it in found.questions if it.gold]
    asked = chance.sample(asked, min(_ALONE_MAX, len(asked)))
    texts = {it.name: it.text for it in found.documents}
    others = asked[1:] + asked[:1]
    return replace(
        found,
        questions=[
            replace(one, history=(("user", other.text), ("assistant", texts[min(other.gold)])))
            for one, other in zip(asked, others, strict=True)
        ],
    )


Asks = Callable[[Question], str]


def write(data: DataSet, folder: Path, *, asks: Asks) -> Path:
    """Write a set as queries and passages, each question as ``asks`` says; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    passages = [
        {
            "passage_id": it.name,
            "text": it.text,
            "title": it.title,
            "doc_id": it.group,
            **({"heading": []} if it.markdown else {}),
        }
        for it in data.documents
    ]
    queries = [
        {
            "query_id": it.id,
            "query": asks(it),
            "gold_passages": dict(it.gold),
            "history": [{"role": role, "text": text} for role, text in it.history],
        }
        for it in data.questions
    ]
    _rows(folder / "passages.jsonl", passages)
    _rows(folder / "queries.jsonl", queries)
    return folder / "queries.jsonl"


def _rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def joined(question: Question) -> str:
    """Return the question behind all that its user said before."""
    return " ".join([*(text for role, text in question.history if role == "user"), question.text])
