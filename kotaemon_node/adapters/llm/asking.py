"""The body of a request for a chat completion."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from kotaemon_node.ports.language_model import ChatMessage, ToolCall
from kotaemon_node.ports.tools import ToolSpec

ContinueMode = Literal["vllm", "prefill", "none"]

_CONTINUE_FIELDS: Final[Mapping[ContinueMode, Mapping[str, Any]]] = {
    # vLLM and SGLang leave the last message open and add no header of a new one.
    "vllm": {"continue_final_message": True, "add_generation_prompt": False},
    "prefill": {},
    "none": {},
}


def request_body(
    model: str,
    messages: Sequence[ChatMessage],
    *,
    prefix: str,
    mode: ContinueMode,
    tools: Sequence[ToolSpec],
) -> dict[str, Any]:
    """Return the JSON object; the same arguments give the same one, key by key."""
    said = [_message(message) for message in messages]
    body: dict[str, Any] = {"model": model, "messages": said, "stream": True}
    if prefix:
        said.append({"role": "assistant", "content": prefix})
        body.update(_CONTINUE_FIELDS[mode])
    if tools:  # servers that know no tools never see the word
        body["tools"] = [_tool(spec) for spec in tools]
    return body


def _message(message: ChatMessage) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        # Beside calls an empty text is refused by some servers, and null by none.
        fields["content"] = message.content or None
        fields["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.tool_call_id:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _call(call: ToolCall) -> dict[str, Any]:
    # Templates of some models parse it again, and what cannot be parsed fails the whole request.
    arguments = json.dumps(call.arguments or {}, ensure_ascii=False)
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _tool(spec: ToolSpec) -> dict[str, Any]:
    function = {
        "name": spec.name,
        "description": spec.description,
        "parameters": dict(spec.parameters),
    }
    return {"type": "function", "function": function}
