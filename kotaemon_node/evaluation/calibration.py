"""How far the proxies agree with people: rank correlation over answers that people scored.

The form is that of MTRAG's human evaluation: a row has the conversation, the contexts, and
responses with a list of scores, one a judge, for each thing that was judged.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kotaemon_node.evaluation.base import Tell
from kotaemon_node.evaluation.metrics.answers import answer_relevance_proxy, faithfulness_proxy
from kotaemon_node.evaluation.metrics.correlation import kendall, spearman
from kotaemon_node.evaluation.results import rounded
from kotaemon_node.evaluation.scoring import closeness
from kotaemon_node.evaluation.sets.rows import Row, rows
from kotaemon_node.ports.encoder import Encoder

JUDGED: Final = ("faithfulness", "appropriateness", "completeness")


@dataclass(frozen=True, slots=True)
class Scored:
    """A response with the means of what people said of it."""

    question: str
    contexts: tuple[str, ...]
    response: str
    human: Mapping[str, float]


def read_scored(path: Path) -> list[Scored]:
    """Return the responses of a file. Raises ``ExperimentError``."""
    return [scored for row in rows(path) for scored in _scored(row)]


def calibrate(path: Path, encoder: Encoder, *, tell: Tell) -> dict[str, Any]:
    """Return proxy to judged thing to Spearman's rho, Kendall's tau-b and n; NaN is None."""
    found = read_scored(path)
    proxies: dict[str, list[float]] = {"faithfulness_proxy": [], "answer_relevance_proxy": []}
    for number, it in enumerate(found):
        tell("scoring", number, len(found))
        proxies["faithfulness_proxy"].append(faithfulness_proxy(it.response, it.contexts))
        close = closeness(encoder, it.question, it.response)
        proxies["answer_relevance_proxy"].append(answer_relevance_proxy(close))
    result: dict[str, Any] = rounded(
        {
            proxy: {
                judged: {
                    "spearman": _number(spearman(values, [it.human[judged] for it in found])),
                    "kendall": _number(kendall(values, [it.human[judged] for it in found])),
                    "n": len(found),
                }
                for judged in JUDGED
            }
            for proxy, values in proxies.items()
        }
    )
    return result


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _scored(row: Row) -> list[Scored]:
    try:
        question = row.turns("turns")[-1][1]
        contexts = tuple(str(it["text"]) for it in row.said["contexts"])
        return [
            Scored(
                question,
                contexts,
                str(it["response"]),
                {name: _mean(it["human"][name]) for name in JUDGED},
            )
            for it in row.said["responses"]
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise row.wrong(
            "it needs turns, contexts with text, and responses with response and human scores of "
            + ", ".join(JUDGED)
        ) from error


def _mean(values: Any) -> float:
    numbers = [float(value) for value in values]
    return sum(numbers) / len(numbers)
