"""The price of saying "I don't know": both errors at every threshold of one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

THRESHOLDS: Final = tuple(round(0.05 * step, 2) for step in range(31))
"""0.00, 0.05, …, 1.50: evidence is closeness in [0, 1] plus words in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How much spoke for an answer, and whether the documents have one."""

    evidence: float
    answerable: bool


@dataclass(frozen=True, slots=True)
class Errors:
    """What a threshold costs. None: the run has no question of that kind."""

    threshold: float
    false_refusals: float | None
    """Share of the questions with an answer that are refused."""
    false_answers: float | None
    """Share of the questions without one that are answered."""


def errors_at(judged: Sequence[Judged], threshold: float) -> Errors:
    """Return both errors where questions with less evidence than ``threshold`` are refused.

    false refusals = |answerable, evidence < t| / |answerable|; false answers = |not answerable,
    evidence >= t| / |not answerable|. These are the two error rates of a detection task, as in the
    DET curve (A. Martin et al., 1997); the no-answer threshold of SQuAD 2.0 (P. Rajpurkar et al.,
    2018) is chosen in the same way.
    """
    with_answer = [it.evidence < threshold for it in judged if it.answerable]
    without = [it.evidence >= threshold for it in judged if not it.answerable]
    return Errors(threshold, _share(with_answer), _share(without))


def curve(judged: Sequence[Judged], thresholds: Sequence[float] = THRESHOLDS) -> list[Errors]:
    """Return ``errors_at`` for each threshold."""
    return [errors_at(judged, threshold) for threshold in thresholds]


def _share(wrong: Sequence[bool]) -> float | None:
    return sum(wrong) / len(wrong) if wrong else None
