"""What the fake language model says: deterministic text that quotes the first passage."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_FIRST_PASSAGE = re.compile(r"^=== \w+ \[1\][^\n]*\n(.*?)(?=^=== )", re.DOTALL | re.MULTILINE)
_TOKEN = re.compile(r"[\u3400-\u9fff]{1,2}|\s*[^\s\u3400-\u9fff]+|\s+")
_HAN = re.compile(r"[\u3400-\u9fff]")
QUOTE_CHARS_MAX = 300


def answer_to(messages: Sequence[Mapping[str, Any]], *, tokens_min: int) -> str:
    """Return the whole answer; it depends on the messages alone, not on a prefix behind them.

    The answer is made longer than one sentence, up to ``tokens_min`` tokens, by numbered repeats
    that differ from each other, so that a gap or a repeat in a stream is seen.
    """
    asked = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
    found = _FIRST_PASSAGE.search(asked)
    chinese = bool(_HAN.search(asked.rpartition("\n")[2]))
    if found is None:
        return "我不知道，资料中没有相关内容。" if chinese else "I don't know: nothing fits."
    quote = " ".join(found[1].split())[:QUOTE_CHARS_MAX]
    answer = f"根据资料：{quote} [1]。" if chinese else f"The document says: {quote} [1]."
    part = 2
    while len(tokens_of(answer)) < tokens_min:
        answer += f" ({part}) {quote} [1]."
        part += 1
    return answer


def tokens_of(text: str) -> list[str]:
    """Cut ``text`` into words and pairs of ideographs; joined they are ``text`` again."""
    return _TOKEN.findall(text)


def continued(answer: str, prefix: str) -> tuple[str, bool]:
    """Return what follows ``prefix`` and whether the answer begins with it.

    Of a prefix that is not its own this model makes the best: the whole answer behind it.
    """
    if answer.startswith(prefix):
        return answer[len(prefix) :], True
    return answer, False
