"""Tools: what a turn may call outside, and what is known of a call that went wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from kotaemon_node.domain.acting_limits import TOOL_HORIZON_S_DEFAULT
from kotaemon_node.domain.limits import TOOL_TIMEOUT_S_DEFAULT
from kotaemon_node.ports.runtime import StopSignal

Effects = Literal["read", "idempotent", "once"]
"""What calling twice does.

``read``: nothing, and so does calling once. ``idempotent``: under the same key no more than calling
once. ``once``: it may act twice, so after a lost answer it is never called again.
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom something is called. Comes from the session, never from a message."""

    tenant: str
    session_id: str
    turn_id: str = ""
    user_id: str | None = None
    channel: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    slots: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a language model is told of it, and what its calls do to the world."""

    name: str
    """``[A-Za-z0-9_-]{1,64}``."""
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of the arguments, an object."""
    effects: Effects
    confirm: bool = False
    """Whether a call waits for the user's yes."""
    looks_up: bool = False
    """Whether ``Toolbox.lookup`` can be asked what became of a call."""
    timeout_s: float = TOOL_TIMEOUT_S_DEFAULT
    """Within which a call ends here, well or not."""
    horizon_s: float = TOOL_HORIZON_S_DEFAULT
    """How long after that time its effect may still appear."""
    retries: int = 0
    """How often a call that went wrong is repeated within its turn; of ``once`` never."""
    version: str = ""
    """Of what it is made of, where that has versions."""
    slow: bool = False
    """Whether a call may take longer than a turn: then it goes on behind it."""
    in_turn: bool = False
    """Whether the turn waits for a call until it ends: it follows from it how the turn goes on."""


class ToolFailed(Exception):
    """A call that did not succeed, and it is known how: refused here, not reached, or an error.

    ``reached``: the tool itself answered the error. ``fault``: it speaks for a tool that is broken
    or away, not for a request that it rightly refused; by default as it was not reached.
    ``settles``: it speaks for an earlier call under the same key, too; by default where it was
    reached and is not at fault. The message may be shown to anybody.
    """

    def __init__(
        self,
        message: str,
        *,
        reached: bool,
        fault: bool | None = None,
        settles: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.reached = reached
        self.fault = not reached if fault is None else fault
        self.settles = reached and not self.fault if settles is None else settles


@dataclass(frozen=True, slots=True)
class Found:
    """What a tool tells of an earlier call.

    ``took_effect`` False says that it did not until now: the request may still be on its way.
    """

    took_effect: bool
    result: Any = None
    """What the call would have returned; a JSON value."""


class ToolOutcomeUnknown(Exception):
    """The call was sent and no answer that can be read came back. The message may be shown."""


def found_of(name: str, value: Any) -> Found:
    """Read what the tool ``name`` told of an earlier call.

    An object with ``took_effect`` and perhaps ``result``, or a plain true, false or null; anything
    else tells nothing and raises ``ToolOutcomeUnknown``.
    """
    if value is None or isinstance(value, bool):
        return Found(bool(value))
    if isinstance(value, dict) and isinstance(value.get("took_effect"), bool):
        return Found(value["took_effect"], value.get("result"))
    raise ToolOutcomeUnknown(f"{name} told nothing that says whether the call took effect")


class Toolbox(Protocol):
    """The tools that turns may call. Thread safe."""

    def specs(self, caller: Caller) -> Sequence[ToolSpec]:
        """Return the tools that are offered to a session, in the same order every time."""
        ...

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        caller: Caller,
        key: str,
        stop: StopSignal,
    ) -> Any:
        """Call a tool and return its answer, a JSON value of at most ``TOOL_ANSWER_BYTES_MAX``.

        ``key`` names this call in the effect ledger (``session:turn:step``); a repeat of the call
        carries the same one, and the tool is told it. Nothing is sent twice by itself. Raises
        ``ToolFailed`` (also for an unknown tool and for arguments that its schema refuses) or
        ``ToolOutcomeUnknown``, within ``TOOL_TIMEOUT_S_MAX`` and the time of a connection. A stop
        breaks the wait off and its reason is raised: whether the tool acted is not known then.
        """
        ...

    def lookup(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        caller: Caller,
        key: str,
        stop: StopSignal,
    ) -> Found:
        """Ask a tool that ``looks_up`` whether its call under ``key`` took effect; changes nothing.

        Raises as ``call`` where no answer comes; then nothing is known.
        """
        ...
