"""An answer on its way: the turn that wants it, and what is known of it besides its text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.domain.handoff import Handoff
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE
from kotaemon_node.engine.profile import AnswerProfile
from kotaemon_node.engine.understanding import Asked
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.sessions import Work


@dataclass(slots=True)
class Draft:
    """What is known of an answer besides its text."""

    generations: Mapping[str, int] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    degraded: str | None = None
    unanswered: bool | None = None
    """Whether the text says that it does not know; None: whoever cites nothing does not."""
    recognising: tuple[int, int] = (0, 0)
    """Tokens that a language model read and wrote to recognise the intent; part of ``usage``."""
    cached: bool = False
    """Whether another turn made it."""
    state: DialogueState | None = None
    """Of the session from this turn on; None: as it was."""
    handoff: Handoff | None = None
    """With the end of this turn a person gets the session."""
    spoken: bool = False
    """No bot answers: a person said it, or a person will."""
    waits: bool = False
    """A person is to answer the message."""
    author: str = ""
    name: str = ""
    event: str = ""
    record: dict[str, Any] = field(default_factory=dict)
    """What the steps note for the audit record: step to JSON value."""


@dataclass(frozen=True, slots=True)
class Answering:
    """One turn on its way to an answer."""

    work: Work
    out: FrameWriter
    profile: AnswerProfile
    asked: Asked
    draft: Draft
    started_s: float
    clock: Clock

    @property
    def kb(self) -> str:
        """The knowledge base that is asked."""
        return self.work.options.get("kb") or DEFAULT_KNOWLEDGE_BASE

    @property
    def min_generation(self) -> int:
        """The oldest generation that may answer."""
        asked = int(self.work.options.get("min_generation") or 0)
        return max(asked, int(self.work.session.generations.get(self.kb, 0)))

    def phase(self, name: str) -> None:
        """Show in which phase the turn is."""
        self.out.status(name, latency_s=self.clock.monotonic_s() - self.started_s)
