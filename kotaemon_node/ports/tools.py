"""Tools: what a turn may call outside, and what is known of a call that went wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from kotaemon_node.ports.runtime import StopSignal

Effects = Literal["read", "idempotent", "once"]
"""What calling twice does.

``read``: nothing, and so does calling once. ``idempotent``: under the same key no more than calling
once. ``once``: it may act twice, so after a lost answer it is never called again.
"""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a language model is told of it, and what its calls do to the world."""

    name: str
    """``[A-Za-z0-9_-]{1,64}``."""
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of the arguments, an object."""
    effects: Effects


class ToolFailed(Exception):
    """A call that did not succeed, and it is known how: refused here, not reached, or an error.

    ``reached``: the tool itself answered the error. The message may be shown to anybody.
    """

    def __init__(self, message: str, *, reached: bool) -> None:
        super().__init__(message)
        self.reached = reached


class ToolOutcomeUnknown(Exception):
    """The call was sent and no answer that can be read came back. The message may be shown."""


class Toolbox(Protocol):
    """The tools that turns may call. Thread safe."""

    def specs(self) -> Sequence[ToolSpec]:
        """Return the tools, in the same order every time."""
        ...

    def call(self, name: str, arguments: Mapping[str, Any], *, key: str, stop: StopSignal) -> Any:
        """Call a tool and return its answer, a JSON value of at most ``TOOL_ANSWER_BYTES_MAX``.

        ``key`` names this call in the effect ledger (``session:turn:step``); a repeat of the call
        carries the same one, and the tool is told it. Nothing is sent twice by itself. Raises
        ``ToolFailed`` (also for an unknown tool and for arguments that its schema refuses) or
        ``ToolOutcomeUnknown``, within ``TOOL_TIMEOUT_S_MAX`` and the time of a connection. A stop
        breaks the wait off and its reason is raised: whether the tool acted is not known then.
        """
        ...
