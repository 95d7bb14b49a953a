"""Middle and spread of samples, and ratios of rounds that were run side by side."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some samples, the quarter below and above it, and the ends."""

    median: float
    low: float
    high: float
    least: float
    most: float
    count: int


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of the samples lie, between two of them."""
    if not values:
        raise ValueError("there are no samples")
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def spread(values: Sequence[float]) -> Spread:
    """Return middle and spread; ``ValueError`` of no samples."""
    return Spread(
        median=statistics.median(values) if values else quantile(values, 0.5),
        low=quantile(values, 0.25),
        high=quantile(values, 0.75),
        least=min(values),
        most=max(values),
        count=len(values),
    )


def ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Return the spread of the rounds' ratios: neighbours in time are divided by each other.

    So what disturbs a whole round disturbs both sides. ``ValueError`` where rounds are missing.
    """
    return spread([one / other for one, other in zip(over, under, strict=True)])


def shown(found: Mapping[str, Spread]) -> dict[str, dict[str, float]]:
    """Return spreads as they are kept: four digits that mean something."""
    return {
        name: {part: significant(value) for part, value in asdict(one).items()}
        for name, one in found.items()
    }


def significant(value: float, *, digits: int = 4) -> float:
    """Return ``value`` with so many digits: more would claim what no measure knows."""
    return float(f"{value:.{digits}g}")
