"""Closeness of meaning: inner products of the question's vectors and those of live rows."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.retrieval.generation import OpenGeneration, Part

EncodedQuestion = Mapping[str, NDArray[np.float32]]
"""Space to the question's vector in it, (dimension,), of length 1."""

Candidates = Mapping[tuple[str, str], NDArray[np.int64]]
"""(segment, space) to rows of the segment that are among its nearest, by whoever keeps an index."""

NO_CANDIDATES: Final[Candidates] = {}

Ranking = tuple[NDArray[np.int64], NDArray[np.float64]]
"""(rows, scores) of what a leg of the search found, in any order; higher is closer."""


def nearest_rows(
    generation: OpenGeneration,
    space: str,
    vector: NDArray[np.float32],
    k: int,
    candidates: Candidates = NO_CANDIDATES,
) -> Ranking:
    """Return the (at most) ``k`` live rows that are closest in ``space``.

    Of a segment that has ``candidates`` they are taken from those, as long as enough are live.
    """
    rows: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    products: list[NDArray[np.float64]] = [np.zeros(0)]
    for part in generation.parts:
        known = candidates.get((part.segment.name, space))
        chosen = None if known is None else _live_candidates(part, space, vector, k, known)
        found, closeness = chosen or _nearest_live(part, space, vector, k)
        rows.append(found)
        products.append(closeness)
    return best(np.concatenate(rows), np.concatenate(products), k)


def best(rows: NDArray[np.int64], scores: NDArray[np.float64], k: int) -> Ranking:
    """Keep the ``k`` best rows, and those that equal the last of them."""
    if len(rows) <= k:
        return rows, scores
    bar = np.partition(scores, len(scores) - k)[len(scores) - k]
    keep = scores >= bar
    return rows[keep], scores[keep]


def asked_of(part: Part, k: int) -> int:
    """Return how many of a part's rows to ask for, so that ``k`` live ones are likely."""
    return k + min(part.dead, k)


def _live_candidates(
    part: Part, space: str, vector: NDArray[np.float32], k: int, rows: NDArray[np.int64]
) -> Ranking | None:
    """Return the live ones of ``rows``; None where there should be more, or they are not ours."""
    if len(rows) and not 0 <= rows.min() <= rows.max() < part.segment.passages:
        return None
    live = rows[part.are_live(rows)]
    if len(live) < k and len(rows) < part.segment.vectors.get(space, 0):
        return None
    vectors = [part.segment.vector(row).get(space) for row in live.tolist()]
    ours = [it for it in vectors if it is not None]
    if len(ours) < len(vectors):
        return None
    # Summed in one order, as in segments: equal vectors are equally close.
    products = (np.array(ours).reshape(len(ours), len(vector)) * vector).sum(axis=1)
    return live + part.first, products.astype(np.float64)


def _nearest_live(part: Part, space: str, vector: NDArray[np.float32], k: int) -> Ranking:
    """Ask for more than ``k``, and where too few of what is found are live, for live ones alone."""
    asked = asked_of(part, k)
    rows, products = part.segment.nearest(space, vector[np.newaxis], asked)
    lives = (rows[0] >= 0) & part.are_live(rows[0])
    if lives.sum() < k and rows.shape[1] == asked and part.live is not None:
        # A question about what was deleted: all that is near may be dead, however much of it.
        rows, products = part.segment.nearest(space, vector[np.newaxis], k, part.live)
        lives = rows[0] >= 0
    return (rows[0] + part.first)[lives], products[0][lives].astype(np.float64)
