"""How far two lists of scores agree on the order: Spearman's rho and Kendall's tau-b."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Pearson's correlation of the ranks; equal scores share the mean of their ranks.

    NaN where a list is constant. Source: C. Spearman: The Proof and Measurement of Association
    between Two Things (1904). Raises ``ValueError`` for lists of unequal length.
    """
    first, second = _arrays(one, other)
    return _pearson(_mean_ranks(first), _mean_ranks(second))


def kendall(one: Sequence[float], other: Sequence[float]) -> float:
    """Return tau-b: (concordant - discordant) / sqrt((pairs - ties in one)(pairs - ties in other)).

    NaN where a list is constant. Source: M. Kendall: The Treatment of Ties in Ranking Problems
    (1945). Raises ``ValueError`` for lists of unequal length.
    """
    first, second = _arrays(one, other)
    pairs = np.triu_indices(len(first), k=1)
    signs = np.sign(first[pairs[0]] - first[pairs[1]])
    others = np.sign(second[pairs[0]] - second[pairs[1]])
    untied = float(np.count_nonzero(signs)) * float(np.count_nonzero(others))
    return float((signs * others).sum()) / math.sqrt(untied) if untied else math.nan


def _arrays(
    one: Sequence[float], other: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(one) != len(other):
        raise ValueError(f"{len(one)} scores cannot be paired with {len(other)}")
    return np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)


def _mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ascending = np.sort(values)
    first = np.searchsorted(ascending, values, side="left")
    last = np.searchsorted(ascending, values, side="right")
    ranks: NDArray[np.float64] = (first + last + 1) / 2
    return ranks


def _pearson(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if len(one) < 2:
        return math.nan
    left, right = one - one.mean(), other - other.mean()
    spread = math.sqrt(float(left @ left) * float(right @ right))
    return float(left @ right) / spread if spread else math.nan
