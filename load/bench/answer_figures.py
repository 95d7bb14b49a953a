"""Figures of extractive answers: right ones by set, and the price of saying "I don't know"."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from answer_corpora import Question

from kotaemon_node.domain.knowledge import Hit
from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.evidence import Weighing

# The curve: each has both errors of every set.
BARS: Final = (0.35, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.85, 1.0)
_FINE: Final = tuple(round(0.005 * step, 3) for step in range(401))


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and what came of it."""

    question: Question
    hits: tuple[Hit, ...]
    search_cpu_s: float
    extract_cpu_s: float
    text: str
    cited: tuple[str, ...]
    pieces: int
    known: bool


Evidence = Callable[[Asked], float]


def by_meaning_and_words(one: Asked) -> float:
    """Weigh as releases before did: closeness and coverage alone."""
    language = language_of(one.question.text)
    return max(
        (
            (1 if hit.passage.language == language else 2) * _closeness(hit) + hit.coverage
            for hit in one.hits
        ),
        default=0.0,
    )


def as_now(one: Asked) -> float:
    """Weigh as the product does."""
    return Weighing(one.question.text).best(one.hits)


def _closeness(hit: Hit) -> float:
    return hit.contrast if hit.contrast is not None else (hit.dense or 0.0)


def figures(asked: Sequence[Asked]) -> dict[str, Any]:
    """Return the figures of one set; shares are of all its questions unless named otherwise."""
    row: dict[str, Any] = {
        "questions": len(asked),
        "answered": share(one.known for one in asked),
    }
    if not any(one.question.gold for one in asked):
        return row
    known = [one for one in asked if one.known]
    gold_of = [{hit.passage.document for hit in one.hits} & one.question.gold for one in asked]
    row |= {
        "gold_first": share(
            bool(one.hits) and one.hits[0].passage.document in one.question.gold for one in asked
        ),
        "gold_found": share(bool(gold) for gold in gold_of),
        "gold_cited": share(bool(set(one.cited) & one.question.gold) for one in asked),
        "first_citation_right": share(one.cited[0] in one.question.gold for one in known),
        "chars": statistics.median(len(one.text) for one in known),
        "pieces": round(statistics.fmean(one.pieces for one in known), 2),
    }
    if all(one.question.answers for one in asked):
        row["answer_contained"] = share(contains(one) for one in asked)
    return row


def contains(one: Asked) -> bool:
    """Tell whether one of the right answers is in the text, blanks and case aside."""
    text = "".join(one.text.lower().split())
    return one.known and any(
        "".join(answer.lower().split()) in text for answer in one.question.answers
    )


def share(those: Iterable[bool]) -> float:
    """Return the share of true ones."""
    return round(statistics.fmean(map(float, those)), 3)


Weights = Mapping[str, Sequence[float]]
"""Set to the evidence of the best passage for each of its questions."""
Errors = Callable[[float], tuple[float, float]]
"""Threshold to the shares of false refusals and of false answers, each a mean over the sets."""


def weights_of(
    asked: Mapping[str, Sequence[Asked]], twins: Mapping[str, str], weigh: Evidence
) -> Weights:
    """Weigh all questions of the sets that have a twin, or are one."""
    return {name: [weigh(it) for it in asked[name]] for name in sorted({*twins, *twins.values()})}


def dont_know(weights: Weights, twins: Mapping[str, str]) -> dict[str, Any]:
    """Return both errors at one threshold for all sets, by set and as means over the sets.

    ``twins``: set whose questions have no answer to the set whose questions have. AUROC is how
    often a question with an answer has more evidence than one of its twin without.
    """
    errors = _errors(weights, twins)
    least = _least(errors)
    auroc = {name: _auroc(weights[twin], weights[name]) for name, twin in twins.items()}
    return {
        "auroc": {name: round(value, 3) for name, value in auroc.items()},
        "auroc_mean": round(statistics.fmean(auroc.values()), 4),
        "curve": {str(bar): [round(it, 4) for it in errors(bar)] for bar in BARS},
        "at_refusals": {
            str(most): _false_answers_at(errors, most) for most in (0.03, 0.05, 0.08, 0.1)
        },
        "least_balanced_error": {"bar": least, "error": round(sum(errors(least)) / 2, 4)},
        "sets": {
            name: {str(bar): round(1 - _share_below(those, bar), 3) for bar in BARS}
            for name, those in weights.items()
        },
    }


def chosen_elsewhere(weights: Weights, twins: Mapping[str, str]) -> dict[str, Any]:
    """Choose the threshold on all sets but one, and return the errors on that one.

    So each set is judged by a threshold that it had no part in.
    """
    found = {}
    for out in sorted(set(twins.values())):
        bar = _least(_errors(weights, {name: it for name, it in twins.items() if it != out}))
        own = _errors(weights, {name: it for name, it in twins.items() if it == out})(bar)
        found[out] = {
            "bar": bar,
            "false_refusals": round(own[0], 3),
            "false_answers": round(own[1], 3),
        }
    return found


def _errors(weights: Weights, twins: Mapping[str, str]) -> Errors:
    answerable = [weights[name] for name in sorted(set(twins.values()))]
    unanswerable = [weights[name] for name in twins]

    def errors(bar: float) -> tuple[float, float]:
        refused = [_share_below(those, bar) for those in answerable]
        answered = [1 - _share_below(those, bar) for those in unanswerable]
        return statistics.fmean(refused), statistics.fmean(answered)

    return errors


def _least(errors: Errors) -> float:
    return min(_FINE, key=lambda bar: (sum(errors(bar)), bar))


def _false_answers_at(errors: Errors, most: float) -> Any:
    bar = max(bar for bar in _FINE if errors(bar)[0] <= most)
    return {"bar": bar, "false_answers": round(errors(bar)[1], 4)}


def _share_below(weights: Sequence[float], bar: float) -> float:
    return sum(weight < bar for weight in weights) / len(weights)


def _auroc(more: Sequence[float], less: Sequence[float]) -> float:
    pairs = [(one > other) + 0.5 * (one == other) for one in more for other in less]
    return statistics.fmean(pairs)
