"""What these routes answer, for ``/openapi.json``; OpenAI's own description has all of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kotaemon_node.api.fields import Body


@dataclass(frozen=True, slots=True)
class ModelForm:
    """A model that a request may name."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


@dataclass(frozen=True, slots=True)
class ModelList:
    """All of them."""

    object: Literal["list"]
    data: list[ModelForm]


@dataclass(frozen=True, slots=True)
class CompletionMessage:
    """The answer; with ``tool_calls`` where functions of the caller are to be called."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    sources: list[Mapping[str, Any]]
    """The documents of the marks ``[n]``, as a frame ``source`` has them."""


@dataclass(frozen=True, slots=True)
class CompletionChoice:
    """The one answer."""

    index: int
    message: CompletionMessage
    logprobs: None
    finish_reason: Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class CompletionUsage:
    """Tokens; where no language model counted, an estimate."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    """A chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage
    kotaemon: Mapping[str, Any]
    """Session, turn and trace; how the answer came to be."""


@dataclass(frozen=True, slots=True)
class EmbeddingForm:
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str
    """Numbers, or base64 of them as 32 bit floats, little endian."""


@dataclass(frozen=True, slots=True)
class EmbeddingUsage:
    """Tokens, an estimate."""

    prompt_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class EmbeddingList:
    """The vectors of a request's texts, in their order."""

    object: Literal["list"]
    data: list[EmbeddingForm]
    model: str
    usage: EmbeddingUsage


class EmbeddingsBody(Body):
    """``POST /v1/embeddings``."""

    model: str
    input: str | list[str]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
