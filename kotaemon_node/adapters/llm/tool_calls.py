"""Tool calls in a completion: their pieces as servers stream them, put together again."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from kotaemon_node.domain.limits import (
    JSON_DEPTH_MAX,
    TOOL_ARGUMENTS_CHARS_MAX,
    TOOL_CALLS_PER_ROUND_MAX,
)
from kotaemon_node.domain.nesting import deeper_than
from kotaemon_node.ports.language_model import ToolCall

_NAME_CHARS_MAX: Final = 64
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of one call: its number, and what this piece adds."""

    index: int
    id: str
    name: str
    arguments: str


def call_deltas(delta: Mapping[str, Any]) -> tuple[CallDelta, ...]:
    """Return the pieces of calls in a streamed delta, or in the message of a whole completion."""
    found = delta.get("tool_calls")
    if not isinstance(found, list):
        return ()
    return tuple(_delta(place, call) for place, call in enumerate(found) if isinstance(call, dict))


def _delta(place: int, call: Mapping[str, Any]) -> CallDelta:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    arguments = function.get("arguments")
    if isinstance(arguments, dict):  # some servers do not write JSON into JSON
        arguments = json.dumps(arguments, ensure_ascii=False)
    index = call.get("index")
    return CallDelta(
        index=index if isinstance(index, int) else place,
        id=_text(call.get("id")),
        name=_text(function.get("name")),
        arguments=_text(arguments),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


@dataclass(slots=True)
class _Open:
    """A call under construction."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class OpenCalls:
    """The calls of one completion while their pieces come."""

    def __init__(self) -> None:
        self._calls: list[_Open] = []
        self._by_index: dict[int, _Open] = {}

    def take(self, deltas: Sequence[CallDelta]) -> None:
        """Add pieces; calls beyond ``TOOL_CALLS_PER_ROUND_MAX`` are dropped."""
        for delta in deltas:
            call = self._by_index.get(delta.index)
            # Some servers give every call the number 0; another id is another call.
            if call is None or (delta.id and call.id and delta.id != call.id):
                call = self._by_index[delta.index] = _Open()
                if len(self._calls) < TOOL_CALLS_PER_ROUND_MAX:
                    self._calls.append(call)
            call.id = call.id or delta.id
            call.name = call.name or delta.name
            if len(call.arguments) <= TOOL_ARGUMENTS_CHARS_MAX:
                call.arguments += delta.arguments

    def closed(self) -> tuple[ToolCall, ...]:
        """Return the calls, when the completion is whole."""
        return tuple(
            ToolCall(
                id=_plain(call.id) or f"call{place}",
                name=_plain(call.name) or "unnamed",
                arguments=_arguments(call.arguments),
            )
            for place, call in enumerate(self._calls)
        )


def _plain(name: str) -> str:
    return _STRANGE.sub("_", name)[:_NAME_CHARS_MAX]


def _arguments(text: str) -> Mapping[str, Any] | None:
    if len(text) > TOOL_ARGUMENTS_CHARS_MAX:
        return None
    if not text.strip():
        return {}  # a function without parameters
    try:
        # Strict, so that whatever it accepts can be stored.
        value = orjson.loads(text.encode("utf-8", "replace"))
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or deeper_than(value, JSON_DEPTH_MAX):
        return None
    return value
