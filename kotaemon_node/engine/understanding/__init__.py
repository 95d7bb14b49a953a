"""What is searched for: the question that stands alone, made of the message and what came before.

Decided once in a turn and journalled, so that whoever takes the turn over searches for the same.
"""

from collections.abc import Callable, Mapping
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
    """Who made ``search`` of ``message``: ``as_asked``, ``rules`` or ``model``."""
    tokens: tuple[int, int] = (0, 0)
    """What a language model read and wrote for it."""

    def to_json(self) -> Mapping[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Asked":
        """Read ``to_json`` back."""
        tokens = fields.get("tokens") or (0, 0)
        lists = {"parts": tuple(fields["parts"]), "tokens": (int(tokens[0]), int(tokens[1]))}
        return cls(**{**fields, **lists})


def unannounced() -> None:
    """Say nothing when a language model is about to be asked."""


class Understanding(Protocol):
    """Makes questions that stand alone."""

    def understand(
        self,
        work: Work,
        profile: AnswerProfile,
        *,
        stop: StopSignal,
        asking: Callable[[], None] = unannounced,
    ) -> Asked:
        """Return what the message of ``work`` asks; what fails on the way leaves it as it was.

        ``asking`` is called before a language model is asked, which takes a while. Raises nothing
        but the reason of a ``stop``.
        """
        ...


class AsAsked:
    """Searches for the message itself."""

    def understand(
        self,
        work: Work,
        profile: AnswerProfile,
        *,
        stop: StopSignal,
        asking: Callable[[], None] = unannounced,
    ) -> Asked:
        return Asked(work.message, work.message)
