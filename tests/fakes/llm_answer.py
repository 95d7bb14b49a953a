"""What the fake language model says: deterministic text that quotes the first passage.

Offered tools, it calls what the question marks: ``call:order_status{"order": "A1"}``. Several marks
are one round of calls, `` then `` divides rounds. When all were called it quotes their results.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_FIRST_PASSAGE = re.compile(r"^=== \w+ \[1\][^\n]*\n(.*?)(?=^=== )", re.DOTALL | re.MULTILINE)
_TOKEN = re.compile(r"[\u3400-\u9fff]{1,2}|\s*[^\s\u3400-\u9fff]+|\s+")
_HAN = re.compile(r"[\u3400-\u9fff]")
QUOTE_CHARS_MAX = 300
_MARK = re.compile(r"call:(\w+)(\{.*?\})?")
_RESULT = re.compile(r"^=== (\w+) \w+\n(.*)\n=== \1 end$", re.DOTALL)


def answer_to(messages: Sequence[Mapping[str, Any]], *, tokens_min: int) -> str:
    """Return the whole answer; it depends on the messages alone, not on a prefix behind them.

    The answer is made longer than one sentence, up to ``tokens_min`` tokens, by numbered repeats
    that differ from each other, so that a gap or a repeat in a stream is seen.
    """
    asked = _question(messages)
    results = [m["content"] for m in messages if m["role"] == "tool"]
    if results:
        # A result that is not fenced is not quoted, and its test fails.
        told = [_RESULT.search(result) for result in results]
        return _long("The tools say: " + "; ".join(one[2] for one in told if one), tokens_min)
    found = _FIRST_PASSAGE.search(asked)
    chinese = bool(_HAN.search(asked.rpartition("\n")[2]))
    if found is None:
        return "我不知道，资料中没有相关内容。" if chinese else "I don't know: nothing fits."
    quote = " ".join(found[1].split())[:QUOTE_CHARS_MAX]
    answer = f"根据资料：{quote} [1]。" if chinese else f"The document says: {quote} [1]."
    return _long(answer, tokens_min, again=f"{quote} [1].")


def calls_for(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tool calls that the next completion of a request ends with."""
    if not body.get("tools"):
        return []
    messages = body["messages"]
    done = sum(1 for message in messages if message.get("tool_calls"))
    rounds = _question(messages).rpartition("\n")[2].split(" then ")
    marks = _MARK.findall(rounds[done]) if done < len(rounds) else []
    return [
        {
            "id": f"call_{done}_{place}",
            "type": "function",
            "function": {"name": name, "arguments": arguments or "{}"},
        }
        for place, (name, arguments) in enumerate(marks)
    ]


def before_calls(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of a round that ends with calls; none where the question says "quietly"."""
    done = sum(1 for message in messages if message.get("tool_calls"))
    return "" if "quietly" in _question(messages) else f"Let me look that up, part {done + 1}."


def _question(messages: Sequence[Mapping[str, Any]]) -> str:
    return next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")


def _long(answer: str, tokens_min: int, *, again: str = "and so on.") -> str:
    part = 2
    while len(tokens_of(answer)) < tokens_min:
        answer += f" ({part}) {again}"
        part += 1
    return answer


def in_pieces(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the deltas in which a server streams calls: the name first, arguments in two parts."""
    deltas: list[dict[str, Any]] = []
    for index, call in enumerate(calls):
        arguments = call["function"]["arguments"]
        head = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        half = len(arguments) // 2
        parts = [{"arguments": arguments[:half]}, {"arguments": arguments[half:]}]
        deltas += [head, *({"index": index, "function": part} for part in parts)]
    return [{"tool_calls": [delta]} for delta in deltas]


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


def split_prefix(body: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Return the messages and the beginning of the answer that stands behind them."""
    messages = list(body["messages"])
    if messages[-1]["role"] != "assistant":
        return messages, ""
    return messages[:-1], messages[-1]["content"]


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """Return one event of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "fake", "object": "chat.completion.chunk", "choices": [choice]}
