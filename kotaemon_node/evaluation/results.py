"""The result of a run as JSON: figures, and the scores of each question. No times, no dates.

The same experiment on the same data gives the same bytes: numbers are rounded to six digits, keys
are sorted, and what depends on the machine's day stands elsewhere (``timings.json``).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from kotaemon_node.domain.limits import EVIDENCE_MIN
from kotaemon_node.evaluation.errors import ExperimentError
from kotaemon_node.evaluation.experiment import Experiment
from kotaemon_node.evaluation.metrics import ranking
from kotaemon_node.evaluation.metrics.refusal import Judged, curve, errors_at
from kotaemon_node.evaluation.metrics.significance import bootstrap
from kotaemon_node.evaluation.scoring import Asked, scores
from kotaemon_node.evaluation.sets.form import DataSet

FORM: Final = 1
"""Of the file; a reader refuses another one."""
_DIGITS: Final = 6
_CURVE_K: Final = 10


def results(
    experiment: Experiment,
    data: DataSet,
    asked: Sequence[Asked],
    *,
    encoder: str,
    generator: str,
    knowledge: Mapping[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return the result of a run."""
    questions = [_question(it, experiment.metrics) for it in asked]
    found: dict[str, Any] = rounded(
        {
            "form": FORM,
            "experiment": experiment.name,
            "configuration": {
                "retriever": experiment.retriever,
                "encoder": encoder,
                "query_expander": experiment.expander,
                "expander_model": experiment.expander_model,
                "generator": generator,
                "temperature": experiment.temperature,
                "top_k": experiment.top_k,
                "left_out": experiment.left_out,
                "seed": experiment.seed,
            },
            "data": {
                "name": data.name,
                "digest": data.digest,
                "questions": len(data.questions),
                "answerable": sum(it.answerable for it in data.questions),
                **knowledge,
            },
            "metrics": summary(questions, seed=experiment.seed),
            "by_language": {
                language: summary(of_it, seed=experiment.seed)
                for language, of_it in _by_language(questions).items()
            },
            "recall_curve": _recall_curve(asked),
            "dont_know": _dont_know(asked),
            "notes": list(notes),
            "questions": questions,
        }
    )
    return found


def summary(questions: Iterable[Mapping[str, Any]], *, seed: int) -> dict[str, Any]:
    """Return metric to mean, interval and number of questions it applies to."""
    by_metric: dict[str, list[float]] = {}
    for question in questions:
        for name, score in question["scores"].items():
            by_metric.setdefault(name, []).append(score)
    return {name: asdict(bootstrap(values, seed=seed)) for name, values in by_metric.items()}


def _question(it: Asked, metrics: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": it.question.id,
        "text": it.question.text,
        "language": it.question.language,
        "answerable": it.question.answerable,
        "gold": dict(it.question.gold),
        "ranking": list(it.found.ranking[:_CURVE_K]),
        "evidence": it.found.evidence,
        "scores": scores(it, metrics),
    }
    if it.searched:
        row["searched"] = list(it.searched)
    if it.answer is not None:
        row["answer"] = it.answer.text
        row["cited"] = list(it.answer.cited)
        row["known"] = it.answer.known
        row["degraded"] = it.answer.degraded
    return row


def _by_language(questions: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the questions by language, where there are several."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for question in questions:
        found.setdefault(question["language"], []).append(question)
    return found if len(found) > 1 else {}


def _recall_curve(asked: Sequence[Asked]) -> list[float]:
    """Return mean recall at 1, 2, … 10; empty where no question has gold."""
    judged = [it for it in asked if it.question.gold and it.question.answerable]
    return [
        sum(ranking.recall(it.found.ranking, it.question.gold, k=k) for it in judged) / len(judged)
        for k in range(1, _CURVE_K + 1)
        if judged
    ]


def _dont_know(asked: Sequence[Asked]) -> dict[str, Any]:
    judged = [Judged(it.found.evidence, it.question.answerable) for it in asked]
    return {
        "answerable": sum(it.answerable for it in judged),
        "unanswerable": sum(not it.answerable for it in judged),
        "now": asdict(errors_at(judged, EVIDENCE_MIN)),
        "curve": [asdict(it) for it in curve(judged)],
    }


def rounded(value: Any) -> Any:
    """Return the same with every float rounded."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, Mapping):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return value


def to_json(found: Mapping[str, Any]) -> str:
    """Return the text of a result file."""
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read_results(path: Path) -> dict[str, Any]:
    """Read a result file. Raises ``ExperimentError``."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{path} cannot be read as the result of a run: {error}") from error
    if not isinstance(found, dict) or found.get("form") != FORM:
        raise ExperimentError(f"{path} is not the result of a run by this version")
    return found
