"""Closeness of meaning: inner products of the question's vectors and those of live rows."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.retrieval.generation import OpenGeneration, Part

EncodedQuestion = Mapping[str, NDArray[np.float32]]
"""Space to the question's vector in it, (dimension,), of length 1."""

Ranking = tuple[NDArray[np.int64], NDArray[np.float64]]
"""(rows, scores) of what a leg of the search found, in any order; higher is closer."""


def nearest_rows(
    generation: OpenGeneration, space: str, vector: NDArray[np.float32], k: int
) -> Ranking:
    """Return the (at most) ``k`` live rows that are closest in ``space``."""
    rows: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    products: list[NDArray[np.float64]] = [np.zeros(0)]
    for part in generation.parts:
        found, closeness = _nearest_live(generation, part, space, vector, k)
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


def _nearest_live(
    generation: OpenGeneration, part: Part, space: str, vector: NDArray[np.float32], k: int
) -> Ranking:
    """Ask for more than ``k`` until enough of what is found is live."""
    asked = k + min(part.dead, k)
    while True:
        rows, products = part.segment.nearest(space, vector[np.newaxis], asked)
        found = rows[0] + part.first
        lives = (rows[0] >= 0) & generation.live[found]
        if lives.sum() >= k or rows.shape[1] < asked:
            return found[lives], products[0][lives].astype(np.float64)
        asked *= 4
