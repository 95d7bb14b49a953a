"""The log in the order in which it is judged: by session, and in it by turn and client."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from kotaemon_node.proof.facts import (
    Acknowledged,
    Effect,
    Ended,
    Fact,
    Gone,
    Kept,
    Read,
    Seen,
    Sent,
)


@dataclass(slots=True)
class Following:
    """What one client saw of one turn, in order."""

    client: str
    session: str
    turn: str
    frames: list[Seen] = field(default_factory=list)
    ended: Ended | None = None

    def numbered(self) -> list[Seen]:
        """Return the frames that are part of the turn."""
        return [frame for frame in self.frames if frame.seq is not None]


@dataclass(slots=True)
class SessionLog:
    """All that is known of one session."""

    session: str
    sent_s: dict[str, float] = field(default_factory=dict)
    """Turn to when it was sent for the first time."""
    sent_last_s: dict[str, float] = field(default_factory=dict)
    """Turn to when it was sent for the last time."""
    acknowledged: list[Acknowledged] = field(default_factory=list)
    followings: dict[tuple[str, str], Following] = field(default_factory=dict)
    """(turn, client) to what it saw."""
    reads: list[Read] = field(default_factory=list)
    final: Read | None = None
    gone: list[Gone] = field(default_factory=list)

    def take(self, fact: Sent | Acknowledged | Seen | Ended | Read | Gone) -> None:
        """Put a fact into its place."""
        match fact:
            case Sent():
                before_s = self.sent_s.get(fact.turn, fact.at_s)
                self.sent_s[fact.turn] = min(before_s, fact.at_s)
                after_s = self.sent_last_s.get(fact.turn, fact.at_s)
                self.sent_last_s[fact.turn] = max(after_s, fact.at_s)
            case Acknowledged():
                self.acknowledged.append(fact)
            case Seen():
                self.following(fact).frames.append(fact)
            case Ended():
                self.following(fact).ended = fact
            case Read(final=True):
                self.final = fact
            case Read():
                self.reads.append(fact)
            case Gone():
                self.gone.append(fact)

    def kept(self) -> dict[str, Kept]:
        """Return the turns of the final history; of one that is there twice, the first."""
        found: dict[str, Kept] = {}
        for turn in self.final.turns if self.final else ():
            found.setdefault(turn.turn, turn)
        return found

    def renewed(self) -> bool:
        """Tell whether somebody read the session under an epoch that it has no more."""
        final = self.final
        return final is not None and any(read.epoch != final.epoch for read in self.reads)

    def told_since(self, at_s: float) -> bool:
        """Tell whether somebody was told, at that time or later, that something is gone."""
        return any(gone.at_s >= at_s for gone in self.gone)

    def following(self, fact: Seen | Ended) -> Following:
        """Return what the client of this fact saw of its turn so far."""
        place = (fact.turn, fact.client)
        if place not in self.followings:
            self.followings[place] = Following(fact.client, fact.session, fact.turn)
        return self.followings[place]


@dataclass(slots=True)
class Log:
    """A whole run."""

    sessions: dict[str, SessionLog] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)

    @classmethod
    def of(cls, facts: Iterable[Fact]) -> "Log":
        """Sort the facts into their places, in one pass."""
        log = cls()
        for fact in facts:
            if isinstance(fact, Effect):
                log.effects.append(fact)
            else:
                log._session(fact.session).take(fact)
        return log

    def _session(self, session: str) -> SessionLog:
        if session not in self.sessions:
            self.sessions[session] = SessionLog(session)
        return self.sessions[session]
