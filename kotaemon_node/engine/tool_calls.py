"""A call of a tool on its way: as a turn decided it, and as it begins."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kotaemon_node.ports.language_model import ToolCall
from kotaemon_node.ports.tools import Caller, Effects, ToolSpec


@dataclass(frozen=True, slots=True)
class DecidedCall:
    """A call as it is journalled, with what its tool was declared to do at that time."""

    call: ToolCall
    effects: Effects | None
    """None: no such tool was offered."""
    summary: str = ""
    """The action in a sentence, where the user was asked for a yes."""
    version: str = ""
    """That was asked about and alone may carry it out; "" where any may."""

    def as_json(self) -> Mapping[str, Any]:
        """Return it as a JSON object, as pods of any version can read it."""
        said = {"summary": self.summary, "version": self.version}
        marks = {name: it for name, it in said.items() if it}
        return {**asdict(self.call), "effects": self.effects, **marks}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "DecidedCall":
        """Read ``as_json`` back."""
        names = {"id", "name", "arguments"}
        call = {name: value for name, value in fields.items() if name in names}
        marks = {name: fields[name] for name in ("summary", "version") if name in fields}
        return cls(ToolCall(**call), fields["effects"], **marks)


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that is claimed, with what is needed to make it here or behind the turn."""

    step: str
    spec: ToolSpec
    arguments: Mapping[str, Any]
    caller: Caller
    key: str
    by_s: float
    """As ``Call.by_s``."""
    summary: str
    message: str
    """The turn's: the user's words."""
    again: bool
    """An owner that was lost may have made it before."""
    later: bool
    """It is made behind the turn."""
    stays: bool = False
    """It never goes on behind the turn, for nobody would be told how it ends."""

    @property
    def only_looked_up(self) -> bool:
        """Whether it is not made any more, whatever is learned."""
        return self.again and self.spec.effects == "once"
