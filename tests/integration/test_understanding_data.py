"""Real conversations in both languages: what the rules add names what the talk is about."""

from pathlib import Path

import pytest

from kotaemon_node.engine.understanding.rewriting import stand_alone
from kotaemon_node.engine.understanding.topics import Exchange, depends
from kotaemon_node.evaluation.asking import exchanges
from kotaemon_node.evaluation.sets.adapters import Source, load
from kotaemon_node.evaluation.sets.form import DataSet, Question

pytestmark = pytest.mark.data


def searched(question: Question) -> str:
    past = [Exchange(message, answer) for message, answer in exchanges(question.history)]
    return stand_alone(question.text, past)


def share_naming(data: DataSet, names: dict[str, str], *, least: int) -> float:
    """Return how often the name of gold is in what is searched and not in the message."""
    silent = [
        (question, named)
        for question in data.questions
        if (named := {names[gold].lower() for gold in question.gold})
        and not any(name in question.text.lower() for name in named)
    ]
    assert len(silent) >= least
    told = [any(name in searched(one).lower() for name in named) for one, named in silent]
    return sum(told) / len(told)


def test_the_entity_of_a_chinese_talk_is_named(public_data: Path) -> None:
    data = load(Source(public_data / "kdconv_travel_zh/dev/dialogues.jsonl"))
    names = {it.name: it.name for it in data.documents}
    assert share_naming(data, names, least=300) > 0.5  # 0.56; many are named in short


def test_the_place_that_a_spoken_answer_offered_is_named(public_data: Path) -> None:
    data = load(Source(public_data / "dstc10_faq/dev/turns.jsonl"))
    names = {it.name: it.title for it in data.documents}
    assert share_naming(data, names, least=30) > 0.3


@pytest.mark.parametrize(
    ("path", "language", "least"),
    [
        ("insuranceqa_en_zh/dev/queries.jsonl", "en", 0.97),
        ("insuranceqa_en_zh/dev/queries.jsonl", "zh", 0.97),
        ("cmrc2018_dev/dev/queries.jsonl", None, 0.93),
        ("hotpot_sample/dev/queries.jsonl", None, 0.85),
    ],
)
def test_questions_that_stand_alone_are_told_from_others(
    public_data: Path, path: str, language: str | None, least: float
) -> None:
    questions = load(Source(public_data / path, language)).questions  # type: ignore[arg-type]
    alone = [not depends(one.text) for one in questions]
    assert sum(alone) / len(alone) >= least
