"""What the fields of a request for a chat completion mean here; docs/how-to/openai.md has the rows.

``used``: does here what it does there. ``model``: sent on to the language model; without one it is
ignored. ``ignored``: changes no answer. ``refused``: asks for what cannot be had; harmless values,
which ask for nothing, are let through. Fields that are not listed are ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from kotaemon_node.api.openai.errors import Refused


@dataclass(frozen=True, slots=True)
class Field:
    """What one field means."""

    treated: Literal["used", "model", "ignored", "refused"]
    meaning: str
    harmless: tuple[Any, ...] = ()
    """Values of a refused one that ask for nothing, besides null."""


FIELDS: Final[Mapping[str, Field]] = {
    "model": Field("used", "`kotaemon`, or `kotaemon/<knowledge base>`; else 404"),
    "messages": Field("used", "the conversation; see *What messages mean*"),
    "stream": Field("used", "chunks as server-sent events"),
    "stream_options": Field("used", "`include_usage`"),
    "tools": Field("used", "functions of the caller; see *Tools*"),
    "tool_choice": Field("used", "`auto`, `none`, `required`, or one function"),
    "parallel_tool_calls": Field("used", "`false`: one call at a time is handed over"),
    "stop": Field("used", "up to four texts; the answer is cut before the first"),
    "max_completion_tokens": Field("model", "as `max_tokens`"),
    "max_tokens": Field("model", "how long its answer may be"),
    "temperature": Field("model", "an experiment's own goes before it"),
    "top_p": Field("model", "as it says"),
    "seed": Field("model", "an experiment's own goes before it"),
    "presence_penalty": Field("model", "as it says"),
    "frequency_penalty": Field("model", "as it says"),
    "user": Field("ignored", "who asks follows from the API key"),
    "safety_identifier": Field("ignored", "the same"),
    "metadata": Field("ignored", "part of the request: another one is another turn"),
    "store": Field("ignored", "a turn is kept as any"),
    "service_tier": Field("ignored", "there is one"),
    "reasoning_effort": Field("ignored", "set it where the language model is configured"),
    "verbosity": Field("ignored", "say it in a system message"),
    "prompt_cache_key": Field("ignored", "a hint"),
    "prompt_cache_retention": Field("ignored", "a hint"),
    "n": Field("refused", "one answer is given", (1,)),
    "logprobs": Field("refused", "not known of checked answers", (False,)),
    "top_logprobs": Field("refused", "the same", (0,)),
    "logit_bias": Field("refused", "tokens are the language model's own", ({},)),
    "response_format": Field("refused", "answers are texts with citations", ({"type": "text"},)),
    "modalities": Field("refused", "answers are texts", (["text"],)),
    "audio": Field("refused", "the same"),
    "prediction": Field("refused", "answers follow from documents"),
    "web_search_options": Field("refused", "the documents are searched, not the web"),
    "functions": Field("refused", "the old form of `tools`", ([],)),
    "function_call": Field("refused", "the old form of `tool_choice`", ("auto", "none")),
}

TO_MODEL: Final = {
    name: "max_tokens" if name == "max_completion_tokens" else name
    for name, field in FIELDS.items()
    if field.treated == "model"
}
"""Name of a field to that by which the language model is told it; the first that is said counts."""


def refuse_unsupported(said: Mapping[str, Any]) -> None:
    """Raise ``Refused`` for a field that asks for what cannot be had."""
    for name, field in FIELDS.items():
        value = said.get(name)
        if field.treated != "refused" or value is None or _is_one_of(value, field.harmless):
            continue
        raise Refused(
            f"'{name}' is not supported here: {field.meaning}.",
            param=name,
            told="unsupported_parameter",
        )


def _is_one_of(value: Any, harmless: tuple[Any, ...]) -> bool:
    # 1 and True are equal in Python, and not in JSON.
    return any(one == value and type(one) is type(value) for one in harmless)
