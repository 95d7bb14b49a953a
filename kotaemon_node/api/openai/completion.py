"""From the frames of a turn to a chat completion, whole or in chunks.

What stands beside OpenAI's fields: ``sources`` of a message, as a ``source`` frame has them, and
``kotaemon`` of the whole, which names session, turn and trace and says how the answer came to be.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from kotaemon_node.api.errors import TurnFailed
from kotaemon_node.api.openai.bodies import ChatRequest
from kotaemon_node.api.openai.errors import BegunAnew
from kotaemon_node.domain.frames import Frame

Delta = Mapping[str, Any]

_CHARS_PER_TOKEN: Final = 4
_TOLD: Final = ("generation", "degraded", "cached", "state")


class Telling:
    """Takes the frames of one turn and gives what of them is said, piece by piece."""

    def __init__(self, asked: ChatRequest, *, streams: bool) -> None:
        """``streams``: whether what was given is out already and cannot be taken back."""
        self._streams = streams
        self._stops = asked.stops
        self._held_max = max(map(len, self._stops), default=1) - 1
        self._limit = asked.max_completion_tokens or asked.max_tokens
        self._prompt_chars = sum(len(str(it.content or "")) for it in asked.messages)
        self._said: list[str] = []
        self._held = ""
        self._again = ""
        """What was said before the answer began anew, and is to come once more."""
        self._cut = False
        self._done: Mapping[str, Any] = {}
        self.calls: list[Mapping[str, Any]] = []
        self.sources: list[Mapping[str, Any]] = []
        self.trace_id = ""

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(self._said)

    @property
    def finish_reason(self) -> str:
        """Why the answer ends where it does."""
        if self.calls:
            return "tool_calls"
        written = int(self._done.get("usage", {}).get("completion_tokens") or 0)
        return "length" if self._limit and not self._cut and written >= self._limit else "stop"

    @property
    def usage(self) -> Mapping[str, Any]:
        """Tokens; an estimate where no language model counted, since clients want numbers."""
        counted = self._done.get("usage", {})
        read, written = (int(counted.get(f"{it}_tokens") or 0) for it in ("prompt", "completion"))
        if not read + written:
            read = self._prompt_chars // _CHARS_PER_TOKEN + 1
            written = len(self.text) // _CHARS_PER_TOKEN + 1
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}

    @property
    def told(self) -> Mapping[str, Any]:
        """How the answer came to be."""
        return {name: self._done[name] for name in _TOLD if name in self._done}

    def take(self, frame: Frame) -> Iterator[Delta]:
        """Yield what a frame adds.

        Raises ``TurnFailed`` for the end of a turn that failed, and ``BegunAnew`` where the answer
        is another one than was said.
        """
        self.trace_id = frame.trace_id or self.trace_id
        match frame.type:
            case "text":
                yield from self._go_on(frame.fields["content"])
            case "restart":
                self._begin_again()
            case "snapshot":
                self._begin_again()
                yield from self._go_on(frame.fields["content"])
            case "source":
                self.sources = list(frame.fields["docs"])
                yield {"sources": self.sources}
            case "tool_call" if frame.fields.get("state") == "handed":
                yield from self._hand(frame.fields)
            case "error":
                raise _failed(frame.fields)
            case "done":
                self._done = frame.fields
                yield from self._end()
            case _:
                pass

    def _go_on(self, piece: str) -> Iterator[Delta]:
        if self._again:
            known = min(len(piece), len(self._again))
            if piece[:known] != self._again[:known]:
                raise BegunAnew("the answer began anew; send the same request again to have it")
            self._again, piece = self._again[known:], piece[known:]
        if self._cut or not piece:
            return
        self._held += piece
        at = min((i for i in map(self._held.find, self._stops) if i >= 0), default=-1)
        if at >= 0:
            self._held, self._cut = self._held[:at], True
        keep = 0 if self._cut or not self._stops else self._held_max
        yield from self._let_out(keep=keep)

    def _let_out(self, *, keep: int) -> Iterator[Delta]:
        out = self._held[: max(0, len(self._held) - keep)]
        if out:
            self._held = self._held[len(out) :]
            self._said.append(out)
            yield {"content": out}

    def _begin_again(self) -> None:
        if self._streams:
            # Where it was cut before a stop, what comes again is compared as far as it was said.
            self._again = self.text
        else:
            self._said.clear()
        self._held, self._cut = "", self._cut and self._streams

    def _hand(self, call: Mapping[str, Any]) -> Iterator[Delta]:
        yield from self._let_out(keep=0)
        arguments = orjson.dumps(call["args"]).decode()
        function = {"name": call["name"], "arguments": arguments}
        told = {"id": call["id"], "type": "function", "function": function}
        self.calls.append(told)
        yield {"tool_calls": [{"index": len(self.calls) - 1, **told}]}

    def _end(self) -> Iterator[Delta]:
        if self._again:
            raise BegunAnew("the answer is another one now; send the same request again to have it")
        yield from self._let_out(keep=0)


def whole(telling: Telling, head: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the completion of a turn that has ended; ``head``: id, created and model."""
    message: dict[str, Any] = {"role": "assistant", "content": telling.text, "refusal": None}
    if telling.calls:
        message |= {"tool_calls": telling.calls, "content": telling.text or None}
    choice = {
        "index": 0,
        "message": {**message, "sources": telling.sources},
        "logprobs": None,
        "finish_reason": telling.finish_reason,
    }
    return {
        **head,
        "object": "chat.completion",
        "choices": [choice],
        "usage": telling.usage,
        "kotaemon": {**about, "trace_id": telling.trace_id, **telling.told},
    }


def _failed(error: Mapping[str, Any]) -> TurnFailed:
    return TurnFailed(
        str(error.get("code", "internal")),
        message=str(error.get("message", "")),
        retryable=bool(error.get("retryable", False)),
    )
