"""Lexical closeness: BM25 over the live rows of a generation, as if they were one segment.

S. Robertson, H. Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond (2009), with the
inverse document frequency of Lucene, ln(1 + (N - n + 0.5) / (n + 0.5)), which is never negative.

In a small segment every row that holds a term is scored. In a large one that would be too many:
there ``candidates`` tells which rows can be among the best, and only these are.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.retrieval.candidates import PartPostings, candidate_rows, matches
from kotaemon_node.retrieval.dense import Ranking, best
from kotaemon_node.retrieval.generation import BM25_K1, OpenGeneration, Part

LARGE_ROWS: Final = 30_000  # from here on scoring all costs more than telling whom to score

Scores = tuple[NDArray[np.float64], NDArray[np.float64]]
"""(BM25, coverage) of some rows; coverage not yet divided by the weights of all terms."""


class LexicalScores:
    """How close rows of a generation are to a question by its words."""

    def __init__(
        self,
        generation: OpenGeneration,
        question: Mapping[str, float],
        *,
        large_rows: int = LARGE_ROWS,
    ) -> None:
        """``question`` is its terms and how much each is asked for."""
        self._parts = generation.parts
        self._norm = generation.bm25_norm
        # Sorted: the sum of floats must not depend on the order in which words were written.
        found = {
            term: [part.segment.postings(term) for part in generation.parts]
            for term in sorted(question)
        }
        rarity = {
            term: _rarity(generation.live_rows, sum(map(_live_holding, self._parts, postings)))
            for term, postings in found.items()
        }
        self.weights: Mapping[str, float] = {term: rarity[term] * question[term] for term in found}
        """Term of the question to its inverse document frequency times how much it is asked for."""
        self._total = sum(self.weights.values()) + _rarity(generation.live_rows, 0)
        self.highest = (BM25_K1 + 1) * self._total
        """What BM25 can reach at most, counted as coverage is: with a term that no row holds."""
        weights = list(self.weights.values())
        self._postings = [
            PartPostings(part, weights, [postings[number] for postings in found.values()])
            for number, part in enumerate(generation.parts)
        ]
        self._whole: Mapping[int, Scores] = {
            number: self._scored_whole(postings)
            for number, postings in enumerate(self._postings)
            if postings.part.segment.passages < large_rows
        }

    def ranking(self, k: int) -> Ranking:
        """Return the ``k`` live rows of the highest scores above 0, and those of equal score."""
        rows: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        scores: list[NDArray[np.float64]] = [np.zeros(0)]
        for number, (bm25, _) in self._whole.items():
            matching = np.flatnonzero(bm25)
            rows.append(matching + self._parts[number].first)
            scores.append(bm25[matching])
        large = [it for number, it in enumerate(self._postings) if number not in self._whole]
        if large:
            _, known = best(np.concatenate(rows), np.concatenate(scores), k)
            bar = float(known.min()) if len(known) >= k else 0.0
            found = candidate_rows(large, self._norm, k, bar=bar)
            rows.append(found)
            scores.append(self.of(found)[0])
        return best(np.concatenate(rows), np.concatenate(scores), k)

    def of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return BM25 and coverage of live ``rows``, which increase.

        Coverage is the share of the question's terms, weighted by ``weights``, that a row holds,
        counted as if the question had one more term that no row holds: of a question of one word,
        a row that holds it has proved little.
        """
        bm25, coverage = np.zeros(len(rows)), np.zeros(len(rows))
        for number, part in enumerate(self._parts):
            inside = slice(*np.searchsorted(rows, (part.first, part.end)).tolist())
            local = (rows[inside] - part.first).astype(np.int32)
            if not len(local):
                continue
            if number in self._whole:
                bm25[inside], coverage[inside] = (of[local] for of in self._whole[number])
            else:
                bm25[inside], coverage[inside] = self._scored(self._postings[number], local)
        return bm25, coverage / self._total

    def _scored_whole(self, postings: PartPostings) -> Scores:
        """Score all live rows of a part."""
        part = postings.part
        bm25, coverage = np.zeros(part.segment.passages), np.zeros(part.segment.passages)
        norm = self._norm[part.segment.lengths]
        for weight, (rows, counts) in postings.live():
            bm25[rows] += counts * ((BM25_K1 + 1) * weight) / (counts + norm[rows])
            coverage[rows] += weight
        return bm25, coverage

    def _scored(self, postings: PartPostings, wanted: NDArray[np.int32]) -> Scores:
        """Score the rows ``wanted`` of a part, which increase."""
        bm25, coverage = np.zeros(len(wanted)), np.zeros(len(wanted))
        norm = self._norm[postings.part.segment.lengths[wanted]]
        for weight, (rows, counts) in postings.all():
            at, places = matches(wanted, rows)
            often = counts[places]
            bm25[at] += often * ((BM25_K1 + 1) * weight) / (often + norm[at])
            coverage[at] += weight
        return bm25, coverage


def _rarity(rows: int, holding: int) -> float:
    return math.log(1 + (rows - holding + 0.5) / (holding + 0.5))


def _live_holding(part: Part, postings: Sequence[NDArray[np.int32]]) -> int:
    """Return how many live rows hold a term."""
    rows = postings[0]
    if not part.dead or not len(rows):
        return len(rows)
    if part.dead < len(rows):
        return len(rows) - len(matches(part.dead_rows, rows)[0])
    return int(np.count_nonzero(part.are_live(rows)))
