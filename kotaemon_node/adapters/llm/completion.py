"""What an OpenAI-compatible server says in one chunk, one whole completion, or one refusal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from kotaemon_node.adapters.llm.tool_calls import CallDelta, call_deltas
from kotaemon_node.domain.errors import LanguageModelError

REASON_CHARS_MAX: Final = 300
"""A server's reason is shown to people: a sentence or two, never a page of HTML."""
_NO_CHOICES: Final = "the language model sent choices that are not a list of objects"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts as the server reports them."""

    prompt: int
    completion: int


class Chunk(NamedTuple):
    """One chunk of a streamed completion, or all of one that was not streamed.

    A tuple, as it is made in a third of a frozen dataclass's time and there is one for each word.
    """

    text: str
    finished: bool
    """The server gave a reason for stopping: the answer is whole."""
    tokens: Tokens | None
    calls: tuple[CallDelta, ...] = ()
    """Pieces of tool calls."""


def read_chunk(text: str) -> Chunk:
    """Read the JSON of a chunk or of a whole completion.

    Only the first choice counts, since one is asked for. Raises ``LanguageModelError`` for
    anything else, error objects included.
    """
    fields = _fields(text)
    if not isinstance(fields, dict):
        raise LanguageModelError("the language model sent JSON that is not an object")
    if fields.get("error") or fields.get("object") == "error":
        raise LanguageModelError(f"the language model reports: {reason_of(fields)}")
    choice = _first_choice(fields)
    delta = choice.get("delta") or choice.get("message")
    delta = delta if isinstance(delta, dict) else {}
    return Chunk(
        text=_text_of(delta.get("content")),
        finished=bool(choice.get("finish_reason")),
        tokens=_tokens_of(fields.get("usage")),
        calls=call_deltas(delta),
    )


def _fields(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        # It takes what a strict reader does not: half a pair of surrogates, numbers of any size.
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LanguageModelError("the language model sent something that is not JSON") from error


def reason_of(fields: object) -> str:
    """Return the sentence inside an error object, in any of the forms that servers use."""
    while isinstance(fields, dict):
        inner = fields.get("error") or fields.get("message") or fields.get("detail")
        if inner is None:
            break
        fields = inner
    text = fields if isinstance(fields, str) else json.dumps(fields, ensure_ascii=False)
    return " ".join(text.split())[:REASON_CHARS_MAX] or "no reason given"


def reason_of_body(body: bytes) -> str:
    """Return the reason in the body of a refusal; the body may be JSON or anything else."""
    text = body.decode(errors="replace")
    try:
        return reason_of(json.loads(text))
    except (ValueError, RecursionError):
        return reason_of(text)


def _first_choice(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = fields.get("choices") or []
    if not isinstance(choices, list):
        raise LanguageModelError(_NO_CHOICES)
    first: Mapping[str, Any] = {}  # the chunk that carries the usage has no choice
    for choice in reversed(choices):
        if not isinstance(choice, dict):
            raise LanguageModelError(_NO_CHOICES)
        if choice.get("index", 0) == 0:
            first = choice
    return first


def _text_of(content: object) -> str:
    """Return the text of a delta: a string, or a list of parts as some servers send it."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def _tokens_of(usage: object) -> Tokens | None:
    if not isinstance(usage, dict):
        return None
    return Tokens(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
