"""Lexical closeness: BM25 over the live rows of a generation, as if they were one segment.

S. Robertson, H. Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond (2009), with the
inverse document frequency of Lucene, ln(1 + (N - n + 0.5) / (n + 0.5)), which is never negative.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.retrieval.generation import BM25_K1, OpenGeneration, Part


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
    """Term of the question to its inverse document frequency times how much it is asked for."""


def lexical_scores(generation: OpenGeneration, question: Mapping[str, float]) -> LexicalScores:
    """Score every row against the terms of a question and how much each asks for."""
    bm25 = np.zeros(len(generation.live))
    coverage = np.zeros(len(generation.live))
    weights: dict[str, float] = {}
    # Sorted: the sum of floats must not depend on the order in which words were written.
    for term in sorted(question):
        postings = [_live_postings(generation, part, term) for part in generation.parts]
        holding = sum(len(rows) for rows, _ in postings)
        rarity = _inverse_document_frequency(generation.live_rows, holding)
        weight = weights[term] = rarity * question[term]
        for part, (rows, counts) in zip(generation.parts, postings, strict=True):
            if len(rows):
                # Views of the part's own rows: its postings are used as they lie on disk.
                rows_of_part = slice(part.first, part.first + part.segment.passages)
                norm = generation.bm25_norm[rows_of_part][rows]
                saturated = counts * ((BM25_K1 + 1) * weight) / (counts + norm)
                bm25[rows_of_part][rows] += saturated
                coverage[rows_of_part][rows] += weight
    total = sum(weights.values()) + _inverse_document_frequency(generation.live_rows, 0)
    return LexicalScores(bm25, coverage / total, weights)


def _inverse_document_frequency(rows: int, holding: int) -> float:
    return math.log(1 + (rows - holding + 0.5) / (holding + 0.5))


def _live_postings(
    generation: OpenGeneration, part: Part, term: str
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return (rows of the part, counts) of the live rows that hold ``term``."""
    rows, counts = part.segment.postings(term)
    if not part.dead or not len(rows):
        return rows, counts
    lives = generation.live[part.first : part.first + part.segment.passages][rows]
    return rows[lives], counts[lives]
