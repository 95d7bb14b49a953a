"""How many tokens a text has, where the server does not count them: a guess by its length."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

# What tokenizers of today make of texts: four Latin characters are a token, and an ideograph,
# kana or hangul syllable is about one. Half or double is possible, so it is said to be a guess.
_CHARS_PER_TOKEN: Final = 4
_WIDE: Final = re.compile("[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")


def estimated_tokens(text: str) -> int:
    """Return about how many tokens ``text`` has; 0 for none."""
    wide = len(_WIDE.findall(text))
    return wide + -(-(len(text) - wide) // _CHARS_PER_TOKEN)


def estimated_prompt_tokens(body: Mapping[str, Any]) -> int:
    """Return the same of what a request gives the model to read: messages and tools."""
    read = [message.get("content") or "" for message in body["messages"]]
    calls = [call for message in body["messages"] for call in message.get("tool_calls", ())]
    described = [json.dumps(said, ensure_ascii=False) for said in (*calls, *body.get("tools", ()))]
    return sum(map(estimated_tokens, (*read, *described)))
