"""Counts of turns by tenant, day (UTC) and profile; all pods add to the same ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tally:
    """What one turn, or one rating of it, adds to the day of ``at`` (UTC).

    ``once`` names it: the same again, within ``ANALYTICS_COUNTED_S``, adds nothing. ``counts`` are
    whole numbers by name. ``question``, "" for none, is one more time asked, and not answered where
    ``unanswered``.
    """

    tenant: str
    at: datetime
    profile: str
    once: str
    counts: Mapping[str, int]
    question: str = ""
    unanswered: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """What was counted on one day: profile to name to number."""

    day: date
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    asked: Mapping[str, int] = field(default_factory=dict)
    """The most frequent questions, and how often they were asked."""
    unanswered: Mapping[str, int] = field(default_factory=dict)
    """The same of those that were not answered."""


class Analytics(Protocol):
    """Adds and reads. Days are kept for ``ANALYTICS_DAYS_KEPT``."""

    def add(self, tally: Tally) -> None:
        """Count it. Raises ``StoreUnavailable``."""
        ...

    def days(self, tenant: str, days: Sequence[date]) -> Sequence[Day]:
        """Return what was counted on each of these days. Raises ``StoreUnavailable``."""
        ...
