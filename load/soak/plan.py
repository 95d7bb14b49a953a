"""What the users of a soak are told, and what they tell: rows of JSON, one an interval."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked, by how many, for how long."""

    port: int
    users: int
    seconds: float
    """Of asking; opening comes before."""
    every_s: float = 60.0
    """Between two questions of a user."""
    open_per_s: float = 50.0
    row_s: float = 10.0
    documents: int = 500
    known: int = 1_000
    """Questions that are asked again and again, the first ones most often (Zipf)."""
    skew: float = 1.1
    fresh: float = 0.1
    """Share of questions that nobody asked before."""
    cuts_per_hour: float = 1.0
    """How often the line of a user is cut, by the user; then it comes back."""
    turns: int = 30
    """Of a session; then its user goes, and another one comes with a new session."""
    session_ttl_s: int = 900
    """How long the store keeps a session behind its last turn: so much is kept, and no more."""
    seed: int = 1


@dataclass(slots=True)
class Row:
    """What happened in an interval. Histograms: milliseconds, rounded up, to how often."""

    at_s: float = 0.0
    """Its end, since the first question was due."""
    took_s: float = 0.0
    connected: int = 0
    """Users whose session is followed now."""
    asked: int = 0
    answered: int = 0
    told: int = 0
    """Turns that the session's own stream told as whole as who asked saw them."""
    skipped: int = 0
    """Questions that were due while the answer before was still coming."""
    cuts: int = 0
    """Of lines, by the users themselves."""
    cut_off: int = 0
    """Lines that were cut by somebody else, or not opened."""
    sent_away: int = 0
    """Streams that a pod ended with ``reconnect``."""
    reconnects: int = 0
    """How often somebody came back behind the last event, or asked the same turn again."""
    sessions: int = 0
    """That were begun."""
    heartbeats: int = 0
    cpu_s: float = 0.0
    """Computed by the clients."""
    first_ms: dict[int, int] = field(default_factory=dict)
    """From when a question was due to its first text."""
    whole_ms: dict[int, int] = field(default_factory=dict)
    lag_ms: dict[int, int] = field(default_factory=dict)
    """By how much the clients themselves were late."""
    refused: dict[str, int] = field(default_factory=dict)
    """Answers of another status; the user tried again."""
    errors: dict[str, int] = field(default_factory=dict)
    """What was wrong or missing in the end."""


def up_ms(seconds: float) -> int:
    """Return milliseconds, rounded up; over a second to ten of them."""
    found = max(0, int(seconds * 1e3) + 1)
    return found if found < 1_000 else -(-found // 10) * 10
