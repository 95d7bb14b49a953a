"""Scores of one question: which metrics apply to it, and what they say. A table of metrics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kotaemon_node.evaluation.asking import Answered, Retrieved
from kotaemon_node.evaluation.metrics import answers, ranking
from kotaemon_node.evaluation.names import ranking_metric
from kotaemon_node.evaluation.sets.form import Question
from kotaemon_node.ports.encoder import Encoder, SpaceVectors


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with all that came of it. ``answer`` is None where no metric needs one."""

    question: Question
    found: Retrieved
    relevant: tuple[bool, ...]
    """Whether each passage of the answer is of a gold document."""
    answer: Answered | None
    closeness: float | None
    """Of question and answer, by the encoder; None: not asked for."""
    searched: tuple[str, ...] = ()
    """What was searched, where it was not the question as it was asked."""


Score = Callable[[Asked, Answered], float | None]
"""None: the metric does not apply to this question."""


def _judged(it: Asked) -> bool:
    return bool(it.question.gold) and it.question.answerable


def _faithfulness(it: Asked, answer: Answered) -> float | None:
    if not answer.known:
        return None
    return answers.faithfulness_proxy(answer.text, [hit.passage.text for hit in it.found.hits])


def _relevance(it: Asked, answer: Answered) -> float | None:
    if not it.question.answerable or it.closeness is None:
        return None
    return answers.answer_relevance_proxy(it.closeness, known=answer.known)


def _context_precision(it: Asked, _: Answered) -> float | None:
    return answers.context_precision(it.relevant) if _judged(it) else None


def _citation_accuracy(it: Asked, answer: Answered) -> float | None:
    if not (_judged(it) and answer.known):
        return None
    return answers.citation_accuracy(answer.cited, it.question.gold)


def _citation_recall(it: Asked, answer: Answered) -> float | None:
    return answers.citation_recall(answer.cited, it.question.gold) if _judged(it) else None


def _contained(it: Asked, answer: Answered) -> float | None:
    if not (it.question.answers and it.question.answerable):
        return None
    return answers.answer_contained(answer.text, it.question.answers) if answer.known else 0.0


def _f1(it: Asked, answer: Answered) -> float | None:
    if not (it.question.answers and it.question.answerable):
        return None
    return answers.answer_f1(answer.text, it.question.answers) if answer.known else 0.0


def _dont_know(it: Asked, answer: Answered) -> float | None:
    return float(answer.known == it.question.answerable)


_OF_ANSWERS: Final[Mapping[str, Score]] = {
    "faithfulness_proxy": _faithfulness,
    "answer_relevance_proxy": _relevance,
    "context_precision": _context_precision,
    "citation_accuracy": _citation_accuracy,
    "citation_recall": _citation_recall,
    "answer_contained": _contained,
    "answer_f1": _f1,
    "dont_know": _dont_know,
}


def scores(it: Asked, metrics: Sequence[str]) -> dict[str, float]:
    """Return the scores of the metrics that apply."""
    found = {name: _score(it, name) for name in metrics}
    return {name: score for name, score in found.items() if score is not None}


def _score(it: Asked, name: str) -> float | None:
    of_ranking = ranking_metric(name)
    if of_ranking is None:
        return None if it.answer is None else _OF_ANSWERS[name](it, it.answer)
    if not _judged(it):
        return None
    kind, k = of_ranking
    if kind == "recall":
        return ranking.recall(it.found.ranking, it.question.gold, k=k)
    if kind == "hit":
        return ranking.hit(it.found.ranking, it.question.gold, k=k)
    if kind == "mrr":
        return ranking.reciprocal_rank(it.found.ranking, it.question.gold, k=k)
    return ranking.ndcg(it.found.ranking, it.question.gold, k=k)


def closeness(encoder: Encoder, question: str, answer: str) -> float:
    """Return the cosine of a question and its answer, in the space where they are closest."""
    asked = encoder.encode_queries([question])
    said = encoder.encode_passages([answers.plain_answer(answer)])
    common = sorted(asked.keys() & said.keys())
    return max((_product(asked[space], said[space]) for space in common), default=0.0)


def _product(one: SpaceVectors, other: SpaceVectors) -> float:
    return float(np.dot(one.vectors[0], other.vectors[0]))
