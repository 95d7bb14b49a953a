"""A large language model behind an OpenAI-compatible server."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.tools import ToolSpec

NO_SAMPLING: Final[Mapping[str, float]] = {}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for."""

    id: str
    """By which the result names its call; ``[A-Za-z0-9_.-]{1,64}``."""
    name: str
    """Perhaps of no tool that was offered; letters as in ``id``."""
    arguments: Mapping[str, Any] | None
    """None: what the model wrote is no JSON object, or over ``TOOL_ARGUMENTS_CHARS_MAX``."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a prompt."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    """What an assistant asked for; each is answered by a message of role ``tool`` behind it."""
    tool_call_id: str = ""
    """The call that a message of role ``tool`` answers."""


@dataclass(slots=True)
class Usage:
    """Tokens of one call, or of several."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    """The server did not count, at least once: these are guesses by the length of the texts."""

    def add(self, more: "Usage") -> None:
        """Add another call's."""
        self.prompt_tokens += more.prompt_tokens
        self.completion_tokens += more.completion_tokens
        self.estimated = self.estimated or more.estimated


class LanguageModel(Protocol):
    """Streams completions."""

    @property
    def name(self) -> str:
        """The model asked for."""
        ...

    @property
    def continues_prefix(self) -> bool:
        """True when ``stream`` can go on behind a given beginning of the answer."""
        ...

    def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        prefix: str,
        usage: Usage,
        stop: StopSignal,
        tools: Sequence[ToolSpec] = (),
        sampling: Mapping[str, float] = NO_SAMPLING,
    ) -> Iterator[str | ToolCall]:
        """Yield the answer in pieces as they arrive; close the iterator to stop the server.

        Behind the first piece, text may be held for a short while so that more of it is one piece;
        its end is not waited for longer than that.

        ``prefix`` is the beginning of the answer that is already known ("" for none) and is not
        yielded again; it must be "" where ``continues_prefix`` is False. ``usage`` is filled in by
        the end, however it ends. ``sampling`` (``temperature``, ``seed``) goes before what the
        model was configured with. Where ``tools`` are offered the model may ask for calls: they
        come behind all text, ``TOOL_CALLS_PER_ROUND_MAX`` at most, and only of a completion that
        ended whole. An empty piece is a sign of life: the arguments of a call are on their way.

        Raises ``LanguageModelError`` when the server refuses, fails, or sends nothing for
        ``FIRST_TEXT_TIMEOUT_S`` at first and ``PROGRESS_TIMEOUT_S`` later. A stop closes the
        connection, also while the server is silent, and its reason is raised.
        """
        ...
