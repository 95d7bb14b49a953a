"""How sure a figure is: confidence intervals and a test of paired differences, both seeded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAMPLES: Final = 10_000
_EXACT_PAIRS_MAX: Final = 13  # 2 ** 13 sign patterns are fewer than the samples drawn otherwise
_BATCH_NUMBERS: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its confidence interval."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap(values: Sequence[float], *, seed: int, confidence: float = 0.95) -> Interval:
    """Return the mean of ``values`` with its percentile bootstrap interval.

    ``SAMPLES`` times as many values are drawn with replacement; the interval holds the middle
    ``confidence`` of their means. Source: B. Efron, R. Tibshirani: An Introduction to the Bootstrap
    (1993), 13.3. Raises ``ValueError`` without values.
    """
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        raise ValueError("there is nothing to take the mean of")
    chance = np.random.default_rng(seed)
    means = np.concatenate(
        [
            array[chance.integers(0, len(array), size=(count, len(array)))].mean(axis=1)
            for count in _batches(len(array))
        ]
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(array.mean()), float(low), float(high), len(array))


def randomisation_p(differences: Sequence[float], *, seed: int) -> float:
    """Return how often chance alone gives a mean difference as far from 0 (two-sided p).

    Under the null hypothesis each pair's two scores may be swapped, so the sign of each difference
    is a coin. Up to 13 pairs every pattern of signs is counted; beyond, ``SAMPLES`` are drawn and
    p = (1 + as far) / (1 + SAMPLES). Source: M. Smucker, J. Allan, B. Carterette: A Comparison of
    Statistical Significance Tests for Information Retrieval Evaluation (2007).
    """
    # A pair without a difference has the same mean whatever its sign.
    array = np.asarray([it for it in differences if it != 0], dtype=np.float64)
    if not len(array):
        return 1.0
    # Sums of floats in another order differ in their last digits.
    bar = abs(array.sum()) * (1 - 1e-12)
    if len(array) <= _EXACT_PAIRS_MAX:
        patterns = np.arange(2 ** len(array))[:, np.newaxis] >> np.arange(len(array)) & 1
        return float(np.mean(np.abs((2.0 * patterns - 1) @ array) >= bar))
    chance = np.random.default_rng(seed)
    as_far = sum(
        int(np.count_nonzero(np.abs(_signs(chance, count, len(array)) @ array) >= bar))
        for count in _batches(len(array))
    )
    return (1 + as_far) / (1 + SAMPLES)


def _signs(chance: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    return np.asarray(2.0 * chance.integers(0, 2, size=(rows, columns)) - 1, dtype=np.float64)


def _batches(width: int) -> list[int]:
    """Cut ``SAMPLES`` rows of ``width`` numbers into pieces that memory has room for."""
    rows = max(1, min(SAMPLES, _BATCH_NUMBERS // width))
    return [min(rows, SAMPLES - start) for start in range(0, SAMPLES, rows)]
