"""Scripts of turns in which tools are called, and something is proposed."""

from typing import Any

from tests.browser.stub_turns import Script

SUMMARY = "Cancel order 1003 (118.00 USD)"


def call(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool_call", "name": name, "step": "0.1", "args": {"order": "1003"},
            "state": state, **more}  # fmt: skip


def told(text: str) -> list[dict[str, Any]]:
    return [
        {"type": "text", "content": text, "offset": 0},
        {"type": "done", "state": "done", "generation": {}, "timings": {"total": 0.3}},
    ]


def proposing(text: str) -> Script:
    result = {"propose": {"summary": SUMMARY, "arguments": {"order": "1003"}}}
    return Script(
        frames=[
            call("cancel.propose", "started"),
            call("cancel.propose", "done", result=result),
            *told(text),
        ]
    )
