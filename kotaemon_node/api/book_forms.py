"""The forms in which people read what is kept of finished turns: ratings, records, figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kotaemon_node.engine.figures import (
    Comparison,
    DayFigures,
    Figures,
    ProfileFigures,
    Question,
)
from kotaemon_node.ports.feedback import Rating


@dataclass(frozen=True, slots=True)
class FeedbackForm:
    """What was said of an answer, as it is kept now."""

    turn_id: str
    rating: Rating
    comment: str
    at: float


@dataclass(frozen=True, slots=True)
class TraceTurn:
    """A turn of a trace."""

    session_id: str
    turn_id: str
    at: float
    state: str


@dataclass(frozen=True, slots=True)
class TraceForm:
    """The audit record of a turn: enough to reproduce its answer.

    ``passages`` have all their scores and no text: that is at ``url``, between the ends of
    ``span``, as it was. ``prompt`` is what the language model was sent first, null where none was
    asked; ``rounds`` what it said before it called tools. ``pods`` are all owners, in order;
    ``turns`` all turns of this trace that are on record. ``cut``: long texts were shortened.
    """

    trace_id: str
    session_id: str
    turn_id: str
    epoch: str
    history: Sequence[str]
    at: float
    state: str
    message: str
    options: Mapping[str, Any]
    asked: Mapping[str, Any]
    profile: Mapping[str, Any]
    knowledge: Mapping[str, Any]
    passages: Sequence[Mapping[str, Any]]
    prompt: Any
    steps: Mapping[str, Any]
    rounds: Sequence[Any]
    answer: str
    unanswered: bool
    cited: Sequence[str]
    usage: Mapping[str, Any]
    timings: Mapping[str, float]
    phases: Sequence[Mapping[str, Any]]
    attempts: int
    losses: int
    pods: Sequence[str]
    degraded: str | None
    error: Mapping[str, Any] | None
    versions: Mapping[str, str]
    cut: bool
    turns: Sequence[TraceTurn]


@dataclass(frozen=True, slots=True)
class AnalyticsForm:
    """Figures of the days ``first`` to ``last``, UTC; see docs/how-to/experiments.md."""

    first: str
    last: str
    totals: Figures
    days: Sequence[DayFigures]
    profiles: Sequence[ProfileFigures]
    comparisons: Sequence[Comparison]
    top_questions: Sequence[Question]
    unanswered_questions: Sequence[Question]
