"""The body of ``POST /v1/chat/completions``: what is read of it, bounded, with the field named."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kotaemon_node.api.openai.errors import Refused
from kotaemon_node.domain.door_limits import CHAT_MESSAGES_MAX, CHAT_STOPS_MAX
from kotaemon_node.domain.limits import TOOLS_MAX

_TAGS: Final = re.compile(r"^(?:str|list\[|dict\[|Literal|literal|function-|[A-Z])")
"""In the place of a problem: which of several forms was tried, which is no field's name."""
_TOO_LONG: Final = frozenset({"string_too_long", "too_long"})

ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
CallId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]


class _Said(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Part(_Said):
    """A piece of a message's content."""

    type: str
    text: str | None = None


class CalledFunction(_Said):
    """What a call calls."""

    name: ToolName
    arguments: str
    """JSON."""


class Call(_Said):
    """A call that the assistant asked for."""

    id: CallId
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(_Said):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: Annotated[list[Call], Field(max_length=TOOLS_MAX)] | None = None
    tool_call_id: str | None = None


class Function(_Said):
    """A function of the caller."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON schema."""


class Tool(_Said):
    """A tool of the caller."""

    type: Literal["function"]
    function: Function


class NamedFunction(_Said):
    """The name of a function."""

    name: str


class NamedChoice(_Said):
    """That one function is to be called."""

    type: Literal["function"]
    function: NamedFunction


class StreamOptions(_Said):
    """What a stream holds besides."""

    include_usage: bool | None = None


class ChatRequest(_Said):
    """The body; ``fields.FIELDS`` has what is not listed here."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=CHAT_MESSAGES_MAX)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[Tool], Field(max_length=TOOLS_MAX)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    stop: str | Annotated[list[str], Field(max_length=CHAT_STOPS_MAX)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts before which the answer is cut."""
        said = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(filter(None, said))

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with what it took."""
        return bool(self.stream_options and self.stream_options.include_usage)


def chat_request(said: Mapping[str, Any]) -> ChatRequest:
    """Return the body; raises ``Refused``, which names the field."""
    try:
        asked = ChatRequest.model_validate(said)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        param = _param(problem["loc"])
        told = "string_above_max_length" if problem["type"] in _TOO_LONG else None
        raise Refused(f"Invalid '{param}': {problem['msg']}.", param=param, told=told) from None
    if asked.stream_options is not None and not asked.stream:
        raise Refused("'stream_options' needs 'stream'.", param="stream_options")
    return asked


def _param(place: Sequence[int | str]) -> str:
    """Return the place of a problem as clients write it: ``messages[0].role``."""
    told = ""
    for step in place:
        if isinstance(step, str) and _TAGS.match(step):
            break
        told += f"[{step}]" if isinstance(step, int) else f".{step}"
    return told.removeprefix(".")
