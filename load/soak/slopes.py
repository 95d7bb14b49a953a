"""How steep a line through noisy points is, in a way that single points cannot bend."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_POINTS_MAX = 400
"""Medians of neighbours stand for more: all pairs of these are 80,000."""
_Z = 1.959964
"""Of 95 %."""


@dataclass(frozen=True, slots=True)
class Slope:
    """Units an hour: the median of all pairs, and between what it lies with 95 %."""

    per_hour: float
    low: float
    high: float
    points: int


def slope(at_s: Sequence[float], values: Sequence[float]) -> Slope | None:
    """Return the slope by Theil and Sen with Sen's interval; None of fewer than three points.

    The interval supposes that deviations of points do not depend on each other. What comes in
    steps, as memory does, makes it too narrow: a slope that matters is also seen in the plot.
    """
    times, levels = _thinned(at_s, values)
    count = len(times)
    if count < 3 or times[0] == times[-1]:
        return None
    first, second = np.triu_indices(count, 1)
    apart = times[second] - times[first]
    kept = apart > 0
    pairs = np.sort((levels[second] - levels[first])[kept] / apart[kept]) * 3_600
    # Ties of levels make Kendall's variance smaller; without them the interval is wide enough.
    spread = _Z * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    below = max(0, math.floor((len(pairs) - spread) / 2) - 1)
    above = min(len(pairs) - 1, math.ceil((len(pairs) + spread) / 2))
    return Slope(
        per_hour=float(np.median(pairs)),
        low=float(pairs[below]),
        high=float(pairs[above]),
        points=count,
    )


def _thinned(
    at_s: Sequence[float], values: Sequence[float]
) -> tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", ...]:
    size = -(-len(at_s) // _POINTS_MAX) or 1
    starts = range(0, len(at_s), size)
    return tuple(
        np.array([statistics.median(row[start : start + size]) for start in starts], np.float64)
        for row in (at_s, values)
    )
