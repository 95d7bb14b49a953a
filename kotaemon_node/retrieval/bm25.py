"""Lexical closeness: BM25 over the live rows of a generation, as if they were one segment.

S. Robertson, H. Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond (2009), with the
inverse document frequency of Lucene, ln(1 + (N - n + 0.5) / (n + 0.5)), which is never negative.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.retrieval.generation import BM25_K1, OpenGeneration


@dataclass(frozen=True, slots=True)
class LexicalScores:
    """How close each row of a generation is to a question by its words."""

    bm25: NDArray[np.float64]
    """(rows,) BM25; 0 for dead rows and rows without a common term."""
    coverage: NDArray[np.float64]
    """(rows,) share of the question's terms, weighted by ``weights``, that the row holds.

    Counted as if the question had one more term that no row holds: of a question of one word, a row
    that holds it has proved little.
    """
    weights: Mapping[str, float]
    """Term of the question to its inverse document frequency."""


def lexical_scores(generation: OpenGeneration, question: Mapping[str, int]) -> LexicalScores:
    """Score every row against the terms of a question and how often each occurs in it."""
    rows_total = len(generation.live)
    bm25 = np.zeros(rows_total)
    coverage = np.zeros(rows_total)
    weights: dict[str, float] = {}
    # Sorted: the sum of floats must not depend on the order in which words were written.
    for term in sorted(question):
        rows, counts = _postings(generation, term)
        weight = _inverse_document_frequency(generation.live_rows, len(rows))
        weights[term] = weight
        if len(rows):
            saturated = counts * (BM25_K1 + 1) / (counts + generation.bm25_norm[rows])
            bm25[rows] += question[term] * weight * saturated
            coverage[rows] += weight
    total = sum(weights.values()) + _inverse_document_frequency(generation.live_rows, 0)
    return LexicalScores(bm25, coverage / total, weights)


def _inverse_document_frequency(rows: int, holding: int) -> float:
    return math.log(1 + (rows - holding + 0.5) / (holding + 0.5))


def _postings(generation: OpenGeneration, term: str) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return (rows, counts) of the live rows that hold ``term``."""
    all_rows: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    all_counts: list[NDArray[np.int32]] = [np.zeros(0, dtype=np.int32)]
    for part in generation.parts:
        rows, counts = part.segment.postings(term)
        if not len(rows):
            continue
        shifted = rows.astype(np.int64) + part.first
        if part.dead:
            lives = generation.live[shifted]
            shifted, counts = shifted[lives], counts[lives]
        all_rows.append(shifted)
        all_counts.append(counts)
    return np.concatenate(all_rows), np.concatenate(all_counts)
