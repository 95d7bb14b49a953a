"""Hot answers: what was answered, kept for a while for whoever asks the same of the same knowledge.

All pods share them. They may be lost at any moment: an answer that is not there is made again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from kotaemon_node.domain.session import TurnKey


@dataclass(frozen=True, slots=True)
class AnswerName:
    """Names an answer by all that went into it."""

    tenant: str
    question: str
    """64 hex digits: what was asked of which knowledge base, whatever its generation."""
    digest: str
    """64 hex digits: that and how it is answered: generation, profile, programs."""


@dataclass(frozen=True, slots=True)
class HotAnswer:
    """An answer as it was shown; ``docs`` are those of its ``source`` frame."""

    text: str
    docs: tuple[Mapping[str, Any], ...]
    generation: int
    usage: Mapping[str, Any] = field(default_factory=dict)
    """What it cost when it was made."""
    unanswered: bool | None = None
    """As ``Draft.unanswered`` of the turn that made it."""
    faq: bool = False
    """Whether an entry of an FAQ is the answer."""
    made_by: str = field(default="", compare=False)
    """``session/turn`` of that turn: its audit record says by what."""

    def to_json(self) -> Mapping[str, Any]:
        """Return it as a JSON object."""
        return {
            "text": self.text,
            "docs": list(self.docs),
            "generation": self.generation,
            "usage": dict(self.usage),
            "unanswered": self.unanswered,
            "faq": self.faq,
            "made_by": self.made_by,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "HotAnswer":
        """Read ``to_json`` back; ``KeyError`` and ``TypeError`` where it is none."""
        return cls(
            text=str(fields["text"]),
            docs=tuple(fields["docs"]),
            generation=int(fields["generation"]),
            usage=dict(fields["usage"]),
            unanswered=fields["unanswered"],
            faq=bool(fields["faq"]),
            made_by=str(fields.get("made_by", "")),
        )


@dataclass(frozen=True, slots=True)
class Found:
    """What a look found: an answer, its author, or neither: nobody asked this before."""

    answer: HotAnswer | None = None
    author: TurnKey | None = None
    """The turn that makes the answer now; where it is the asker, that one has to."""


class HotAnswers(Protocol):
    """Answers by name. Every method may raise ``StoreUnavailable``, and may be repeated."""

    def look(self, name: AnswerName, asker: TurnKey, *, instead_of: TurnKey | None = None) -> Found:
        """Return what there is under ``name``, in one round trip.

        Where there is nothing the question is noted. One that was noted before, within an hour or
        two, makes the asker its author, for ``HOT_AUTHOR_S`` at most; so does one whose author is
        ``instead_of``. A few questions in a thousand are taken for noted though they were not.
        """
        ...

    def get(self, name: AnswerName) -> HotAnswer | None:
        """Return the answer that is kept under ``name``; nothing is noted."""
        ...

    def keep(self, name: AnswerName, asker: TurnKey, answer: HotAnswer) -> bool:
        """Keep an answer; False: there is one, it is too large, or there is no room."""
        ...

    def give_up(self, name: AnswerName, asker: TurnKey) -> None:
        """Be no author any more: there will be no answer."""
        ...
