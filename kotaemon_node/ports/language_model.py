"""A large language model behind an OpenAI-compatible server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from kotaemon_node.ports.runtime import StopSignal


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(slots=True)
class Usage:
    """Tokens of one call, as the server counted them; zero where it did not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


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
        self, messages: Sequence[ChatMessage], *, prefix: str, usage: Usage, stop: StopSignal
    ) -> Iterator[str]:
        """Yield the answer in pieces as they arrive; close the iterator to stop the server.

        ``prefix`` is the beginning of the answer that is already known ("" for none) and is not
        yielded again; it must be "" where ``continues_prefix`` is False. ``usage`` is filled in by
        the end. Raises ``LanguageModelError`` when the server refuses, fails, or sends nothing for
        ``FIRST_TEXT_TIMEOUT_S`` at first and ``PROGRESS_TIMEOUT_S`` later. A stop closes the
        connection, also while the server is silent, and its reason is raised.
        """
        ...
