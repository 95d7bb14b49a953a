"""What is searched for: the question that stands alone, made of the message and what came before.

Decided once in a turn and journalled, so that whoever takes the turn over searches for the same.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from kotaemon_node.engine.profile import AnswerProfile
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.sessions import Work


@dataclass(frozen=True, slots=True)
class Asked:
    """A message and the question that stands alone; ``search == message`` where nothing changed."""

    message: str
    search: str
    """The question to answer, understandable without the conversation."""
    from_history: bool = False
    """Whether earlier turns took part in it."""
    parts: tuple[str, ...] = ()
    """Simpler questions that are searched as well; empty: the question is one."""
    by: str = "as_asked"
    """Who made ``search`` of ``message``."""

    def to_json(self) -> Mapping[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Asked":
        """Read ``to_json`` back."""
        return cls(**{**fields, "parts": tuple(fields["parts"])})


class Understanding(Protocol):
    """Makes questions that stand alone."""

    def understand(self, work: Work, profile: AnswerProfile, *, stop: StopSignal) -> Asked:
        """Return what the message of ``work`` asks; what fails on the way leaves it as it was."""
        ...


class AsAsked:
    """Searches for the message itself."""

    def understand(self, work: Work, profile: AnswerProfile, *, stop: StopSignal) -> Asked:
        return Asked(work.message, work.message)
