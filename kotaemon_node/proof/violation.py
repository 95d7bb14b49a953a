"""A promise that was broken: which one, where, and what should have been."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """``client`` and ``turn`` are empty where the rule is about more than one."""

    rule: str
    session: str
    turn: str
    client: str
    expected: str
    seen: str

    def __str__(self) -> str:
        place = " ".join(part for part in (self.session, self.turn, self.client) if part)
        return f"{self.rule}: {place}: expected {self.expected}; seen {self.seen}"
