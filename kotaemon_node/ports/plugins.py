"""Plugins as the engine knows them: what is offered to a session, and how it is called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.tools import Caller, Effects

Entry = Literal["hook", "run", "lookup"]
"""What of a plugin is called.

``hook``: a method that answers an intent. ``run``: the tool. ``lookup``: tells whether an earlier
``run`` under a key took effect.
"""


@dataclass(frozen=True, slots=True)
class Hook:
    """A method of a plugin that answers an intent."""

    intent: str
    method: str
    priority: int = 0
    """Of several hooks of one intent the highest is called; the name of the plugin breaks ties."""
    examples: tuple[str, ...] = ()
    """Utterances by which the intent is recognised."""


@dataclass(frozen=True, slots=True)
class PluginDescription:
    """What one version of a plugin says of itself, and what its manifest allows."""

    name: str
    """``[A-Za-z0-9_-]{1,64}``; also the name of its tool."""
    version: str
    """Twelve hexadecimal digits of the digest of its bundle and its configuration."""
    description: str
    effects: Effects
    parameters: Mapping[str, Any]
    """JSON schema of the arguments of ``run``, an object."""
    hooks: tuple[Hook, ...] = ()
    runs: bool = True
    """Whether it has a ``run``: else it is no tool."""
    looks_up: bool = False
    """Whether it has a ``lookup``."""
    timeout_s: float = 10.0
    """For one call."""
    horizon_s: float = 60.0
    """How long after the deadline of a call its effect may still appear."""
    retries: int = 0
    """How often a failed call may be repeated; of ``once`` never."""
    slow: bool = False
    """Whether its calls may take longer than a turn: then they go on behind it."""
    confirm: bool = True
    """Whether a call that changes something waits for the user's yes."""


@dataclass(frozen=True, slots=True)
class PluginCall:
    """One call. ``key`` names its effect, as ``Toolbox.call``."""

    entry: Entry
    caller: Caller
    key: str
    method: str = ""
    """Of a hook."""
    user_input: str = ""
    """Of a hook: the question that stands alone."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of ``run``, by its schema."""
    timeout_s: float | None = None
    """None: that of the description. A smaller one counts."""


class Plugin(Protocol):
    """One version of one plugin, loaded in this pod. Thread safe."""

    @property
    def description(self) -> PluginDescription:
        """What it is."""
        ...

    def call(self, call: PluginCall, *, stop: StopSignal) -> Any:
        """Return what the plugin answers, a JSON value of at most ``TOOL_ANSWER_BYTES_MAX``.

        Raises ``ToolFailed`` (refused here, an exception of the plugin, an answer that is none) or
        ``ToolOutcomeUnknown`` (its process died, or the time was over), within the call's time
        limit. A stop breaks the wait off and its reason is raised.
        """
        ...


class Plugins(Protocol):
    """The plugins of this pod as they stand now. Thread safe."""

    def offered(self, tenant: str, session_id: str) -> Sequence[Plugin]:
        """Return what this session may use, by name; by roll-out the same for one session always.

        What was returned may be called until the turn ends, whatever replaces it meanwhile.
        """
        ...

    @property
    def revision(self) -> int:
        """Rises with each change of what is offered."""
        ...
