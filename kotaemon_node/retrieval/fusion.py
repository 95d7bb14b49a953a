"""Several rankings to one: reciprocal rank fusion.

G. Cormack, C. Clarke, S. Büttcher: Reciprocal Rank Fusion outperforms Condorcet and individual Rank
Learning Methods (2009): each ranking gives a row 1 / (60 + rank). Scores of different legs need not
be comparable, only their order counts.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.retrieval.dense import Ranking

RRF_K: Final = 60


def fuse(
    rankings: Sequence[Ranking], order: Callable[[NDArray[np.int64]], NDArray[np.int64]]
) -> Ranking:
    """Return the rows of all rankings with their fused scores, best first.

    Rows of one score share the better rank, so the result does not depend on how a leg happened to
    order them; ``order`` gives numbers that decide between rows of one fused score.
    """
    all_rows = np.concatenate([np.zeros(0, dtype=np.int64), *(rows for rows, _ in rankings)])
    rows, places = np.unique(all_rows, return_inverse=True)
    parts = [1.0 / (RRF_K + ranks(scores)) for _, scores in rankings]
    fused: NDArray[np.float64] = np.zeros(len(rows))
    np.add.at(fused, places, np.concatenate([np.zeros(0), *parts]))
    best_first = np.lexsort((order(rows), -fused))
    return rows[best_first], fused[best_first]


def ranks(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each score one plus how many are higher."""
    ascending = np.sort(scores)
    found: NDArray[np.int64] = 1 + len(scores) - np.searchsorted(ascending, scores, side="right")
    return found
