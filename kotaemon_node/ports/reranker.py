"""Rerankers: models that read a question and a passage together and say how well they fit."""

from collections.abc import Sequence
from typing import Protocol


class RerankerFailed(Exception):
    """There are no scores: the model is away, slow, busy, or said what nobody can use."""


class Reranker(Protocol):
    """A cross-encoder. Safe for many tasks at once."""

    @property
    def name(self) -> str:
        """What records and reports call it."""
        ...

    def scores(self, question: str, passages: Sequence[str]) -> Sequence[float]:
        """Return a score for each of ``passages``, in their order; higher fits better.

        Scores are finite and may be compared within one call only. Returns or raises
        ``RerankerFailed`` within about twice ``domain.limits.RERANK_TIMEOUT_S``, without blocking
        other tasks; asking again is safe. No passages: no scores, and nobody is asked.
        """
        ...
