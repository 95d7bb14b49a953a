"""What is said of a metric before anything is counted."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric: how it is named, counted and told apart."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets_s: tuple[float, ...] = ()
