"""From the messages of a request to a turn: its message, and what is given to it besides.

Roles are the caller's word and give no right: nothing that an assistant or a tool is said to have
said confirms, calls or changes anything here. ``engine.given`` has the rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from kotaemon_node.api.openai.bodies import ChatRequest, Message, NamedChoice, Tool
from kotaemon_node.api.openai.errors import Refused
from kotaemon_node.api.openai.fields import TO_MODEL
from kotaemon_node.domain.door_limits import CHAT_TOOLS_BYTES_MAX, CHAT_WISHES_CHARS_MAX
from kotaemon_node.domain.limits import (
    JSON_DEPTH_MAX,
    MAX_HISTORY_TURNS,
    MESSAGE_CHARS_MAX,
    PROMPT_HISTORY_TEXT_CHARS_MAX,
    TOOL_ARGUMENTS_CHARS_MAX,
    TOOL_RESULT_CHARS_MAX,
    TOOL_ROUNDS_MAX,
)
from kotaemon_node.domain.nesting import deeper_than

_INSTRUCTING: Final = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True)
class Talk:
    """A turn to be asked for."""

    message: str
    given: Mapping[str, Any]
    """The option of a turn that ``engine.given`` reads."""


def talk_of(asked: ChatRequest, *, with_model: bool) -> Talk:
    """Return the turn that a request asks for; raises ``Refused``.

    ``with_model``: whether a language model answers, which alone heeds wishes, tools and sampling.
    """
    messages = asked.messages
    texts = [_text(message, place) for place, message in enumerate(messages)]
    at = max((i for i, it in enumerate(messages) if it.role == "user"), default=-1)
    if at < 0:
        raise Refused("There must be a message of role 'user'.", param="messages")
    message = _question(texts[at], at)
    results = _results(messages, texts, at)
    history = [
        {"role": it.role, "content": text[:PROMPT_HISTORY_TEXT_CHARS_MAX]}
        for it, text in zip(messages[:at], texts[:at], strict=True)
        if it.role in {"user", "assistant"} and text.strip()
    ]
    tools = _tools(asked, with_model=with_model)
    given: dict[str, Any] = {"history": history[-4 * MAX_HISTORY_TURNS :]}
    if with_model:
        wishes = "\n\n".join(
            text for it, text in zip(messages, texts, strict=True) if it.role in _INSTRUCTING
        )
        given |= {"wishes": wishes.strip()[:CHAT_WISHES_CHARS_MAX], "results": results}
        given |= {"tools": tools, "sampling": _sampling(asked)}
        if tools:
            given |= {"choice": _choice(asked), "one_call": asked.parallel_tool_calls is False}
    return Talk(message, {name: value for name, value in given.items() if value})


def _text(message: Message, place: int) -> str:
    """Return what a message says."""
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    for part in message.content:
        if part.type not in {"text", "refusal"}:
            raise Refused(
                f"Content of type '{part.type[:40]}' is not supported here: messages are texts.",
                param=f"messages[{place}].content",
                told="unsupported_content",
            )
    return "\n".join(part.text or "" for part in message.content)


def _question(text: str, place: int) -> str:
    param = f"messages[{place}].content"
    if len(text) > MESSAGE_CHARS_MAX:
        raise Refused(
            f"The message has more than {MESSAGE_CHARS_MAX} characters.",
            param=param,
            told="context_length_exceeded",
        )
    if not text.strip() or "\x00" in text:
        raise Refused("The message must be a text.", param=param)
    return text


def _results(
    messages: Sequence[Message], texts: Sequence[str], at: int
) -> Sequence[Mapping[str, Any]]:
    """Return what came of the calls behind the last message of the user, round by round."""
    rounds: list[dict[str, Any]] = []
    open_calls: dict[str, dict[str, Any]] = {}
    for place, message in enumerate(messages[at + 1 :], start=at + 1):
        param = f"messages[{place}]"
        if message.role == "tool":
            call = open_calls.pop(message.tool_call_id or "", None)
            if call is None:
                raise Refused(
                    "A message of role 'tool' must answer a call of the message before it.",
                    param=f"{param}.tool_call_id",
                )
            call["result"] = texts[place][:TOOL_RESULT_CHARS_MAX]
        elif message.role == "assistant" and message.tool_calls and not open_calls:
            calls = [_call(call.id, call.function, param) for call in message.tool_calls]
            open_calls = {call["id"]: call for call in calls}
            text = texts[place][:PROMPT_HISTORY_TEXT_CHARS_MAX].strip()
            rounds.append({"text": text, "calls": calls})
        elif message.role not in _INSTRUCTING:
            raise Refused("The last message must be of role 'user' or 'tool'.", param=param)
    if open_calls:
        raise Refused(
            "Each of 'tool_calls' must be answered by a message of role 'tool': "
            f"{', '.join(open_calls)}.",
            param="messages",
        )
    return rounds[-TOOL_ROUNDS_MAX:]


def _call(call_id: str, function: Any, param: str) -> dict[str, Any]:
    return {
        "id": call_id,
        "name": function.name,
        "arguments": _arguments(function.arguments, f"{param}.tool_calls"),
    }


def _arguments(text: str, param: str) -> Mapping[str, Any]:
    try:
        value = orjson.loads(text or "{}") if len(text) <= TOOL_ARGUMENTS_CHARS_MAX else None
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict) or deeper_than(value, JSON_DEPTH_MAX):
        raise Refused("'arguments' must be a JSON object.", param=param)
    return value


def _tools(asked: ChatRequest, *, with_model: bool) -> Sequence[Mapping[str, Any]]:
    """Return the functions that may be called; none are where nothing can call them."""
    choice = asked.tool_choice
    must = choice == "required" or isinstance(choice, NamedChoice)
    if must and not asked.tools:
        raise Refused("'tool_choice' needs 'tools'.", param="tool_choice")
    if must and not with_model:
        raise Refused(
            "No language model is configured here, so no tool can be called.",
            param="tool_choice",
            told="unsupported_value",
        )
    tools = [_tool(tool) for tool in asked.tools or ()]
    if len({tool["name"] for tool in tools}) < len(tools):
        raise Refused("Two tools have the same name.", param="tools")
    if isinstance(choice, NamedChoice) and choice.function.name not in {it["name"] for it in tools}:
        raise Refused("'tool_choice' names none of the tools.", param="tool_choice")
    if len(orjson.dumps(tools)) > CHAT_TOOLS_BYTES_MAX:
        raise Refused(f"'tools' has more than {CHAT_TOOLS_BYTES_MAX} bytes.", param="tools")
    return [] if choice == "none" else tools


def _tool(tool: Tool) -> Mapping[str, Any]:
    function = tool.function
    return {
        "name": function.name,
        "description": function.description or "",
        "parameters": function.parameters or {"type": "object", "properties": {}},
    }


def _choice(asked: ChatRequest) -> Any:
    choice = asked.tool_choice
    if isinstance(choice, NamedChoice):
        return choice.model_dump()
    return "required" if choice == "required" else None


def _sampling(asked: ChatRequest) -> Mapping[str, Any]:
    sampling: dict[str, Any] = {}
    for field, name in TO_MODEL.items():
        if (value := getattr(asked, field)) is not None:
            sampling.setdefault(name, value)
    return sampling
