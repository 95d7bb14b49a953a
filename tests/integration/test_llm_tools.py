"""Tool calls of the language model adapter: what is offered, understood and bounded."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import LanguageModelError
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.language_model import ChatMessage, LanguageModel, ToolCall, Usage
from kotaemon_node.ports.tools import ToolSpec
from tests.fakes.llm_server import FakeLlmServer
from tests.integration.test_llm_openai import (
    _read_request,
    events_of,
    model_of,
    replay,
    response_of,
)

LOOK = ToolSpec("look", "Looks.", {"type": "object", "properties": {}}, "read")
Replay = Callable[[bytes], str]
__all__ = ["replay"]


@pytest.fixture
def llm() -> Iterator[FakeLlmServer]:
    with FakeLlmServer() as server:
        yield server


def said(
    model: LanguageModel,
    question: str = "?",
    *,
    prefix: str = "",
    tools: tuple[ToolSpec, ...] = (LOOK,),
) -> tuple[str, list[ToolCall]]:
    """Return text and calls; the calls must come behind all text."""
    messages = (ChatMessage("user", f"Question: {question}"),)
    pieces = list(model.stream(messages, prefix=prefix, usage=Usage(), stop=Stop(), tools=tools))
    calls = [piece for piece in pieces if isinstance(piece, ToolCall)]
    texts = pieces[: len(pieces) - len(calls)]
    assert all(isinstance(piece, str) for piece in texts)
    return "".join(texts), calls  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", ["", "whole"])
def test_calls_come_behind_the_text(llm: FakeLlmServer, fault: str) -> None:
    # Given a server that streams, and one that does not
    if fault:
        llm.break_with(fault)
    # When it asks for two calls
    text, calls = said(model_of(llm.base_url), 'call:look{"order": "到"} call:look')
    # Then both are there, whole, and the tool was offered as OpenAI defines it
    assert text == "Let me look that up, part 1."
    assert calls == [
        ToolCall("call_0_0", "look", {"order": "到"}),
        ToolCall("call_0_1", "look", {}),
    ]
    assert llm.behaviour.requests[0]["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Looks.",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ]


def test_a_round_is_continued_behind_its_prefix_up_to_its_calls(llm: FakeLlmServer) -> None:
    text, calls = said(model_of(llm.base_url, mode="vllm"), "call:look", prefix="Let me look")
    assert text == " that up, part 1."
    assert [call.name for call in calls] == ["look"]
    assert llm.stats["prefix_mismatches"] == 0


def test_calls_and_results_are_sent_as_the_server_knows_them(llm: FakeLlmServer) -> None:
    # Given a talk with two calls, one of which had no arguments that could be read
    calls = (ToolCall("a", "look", {"order": "到"}), ToolCall("b", "look", None))
    messages = (
        ChatMessage("user", "Where?"),
        ChatMessage("assistant", "", tool_calls=calls),
        ChatMessage("tool", "here", tool_call_id="a"),
        ChatMessage("tool", "nowhere", tool_call_id="b"),
    )
    # When the model is asked, then the server could parse all of it again
    list(model_of(llm.base_url).stream(messages, prefix="", usage=Usage(), stop=Stop()))
    _, assistant, one, two = llm.behaviour.requests[0]["messages"]
    assert assistant["content"] is None
    functions = [call["function"] for call in assistant["tool_calls"]]
    assert [json.loads(one["arguments"]) for one in functions] == [{"order": "到"}, {}]
    assert [call["id"] for call in assistant["tool_calls"]] == ["a", "b"]
    assert one == {"role": "tool", "content": "here", "tool_call_id": "a"}
    assert two["tool_call_id"] == "b"
    assert "tools" not in llm.behaviour.requests[0]


# Exact bytes, which the fake server cannot send.


def delta(*calls: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": finish}]}


def part(arguments: Any, **fields: Any) -> dict[str, Any]:
    named = {"name": fields.pop("name")} if "name" in fields else {}
    return {**fields, "function": {**named, "arguments": arguments}}


def replayed(replay: Replay, *chunks: dict[str, Any], **options: Any) -> list[ToolCall]:
    return said(model_of(replay(response_of(events_of(*chunks)))), **options)[1]


def test_calls_are_told_apart_by_their_number(replay: Replay) -> None:
    calls = replayed(
        replay,
        delta(part("", index=0, id="a", name="look"), part("", index=1, id="b", name="book")),
        delta(part('{"x":', index=1)),
        delta(part('{"y":', index=0)),
        delta(part("1}", index=0), part("2}", index=1)),
        delta(finish="tool_calls"),
    )
    assert calls == [ToolCall("a", "look", {"y": 1}), ToolCall("b", "book", {"x": 2})]


@pytest.mark.parametrize("index", [{}, {"index": 0}])
def test_a_server_that_does_not_number_its_calls(replay: Replay, index: dict[str, int]) -> None:
    calls = replayed(
        replay,
        delta(part("{}", id="a", name="look", **index)),
        delta(part({"x": 1}, id="b", name="book", **index), finish="stop"),
    )
    assert calls == [ToolCall("a", "look", {}), ToolCall("b", "book", {"x": 1})]


def test_a_server_that_gives_no_ids_and_strange_names(replay: Replay) -> None:
    calls = replayed(
        replay,
        delta(part("", name="look"), part("", name="\ud800 evil\n" + "x" * 99), part("")),
        delta(finish="tool_calls"),
    )
    assert [call.id for call in calls] == ["call0", "call1", "call2"]
    assert [call.name for call in calls] == ["look", "__evil_" + "x" * 57, "unnamed"]


@pytest.mark.parametrize(
    "arguments",
    [
        "{",
        "[]",
        '"x"',
        "null",
        '{"x": NaN}',
        '{"x": "\\ud800"}',
        '{"x": ' + "[" * 40 + "]" * 40 + "}",
        json.dumps({"x": "y" * limits.TOOL_ARGUMENTS_CHARS_MAX}),
    ],
)
def test_arguments_that_are_no_object_are_none(replay: Replay, arguments: str) -> None:
    chunks = delta(part(arguments, index=0, id="a", name="look"), finish="tool_calls")
    assert replayed(replay, chunks) == [ToolCall("a", "look", None)]


def test_more_calls_than_a_round_may_have_are_dropped(replay: Replay) -> None:
    chunks = [delta(part("{}", index=n, id=f"c{n}", name="look")) for n in range(20)]
    calls = replayed(replay, *chunks, delta(finish="tool_calls"))
    assert [call.id for call in calls] == [f"c{n}" for n in range(limits.TOOL_CALLS_PER_ROUND_MAX)]


def test_endless_arguments_are_stopped(replay: Replay) -> None:
    chunks = [delta(part("x" * 10_000, index=0)) for _ in range(21)]
    with pytest.raises(LanguageModelError, match="longer than"):
        replayed(replay, *chunks, delta(finish="tool_calls"))


def test_calls_of_a_stream_that_broke_are_not_made(replay: Replay) -> None:
    with pytest.raises(LanguageModelError, match="ended in the middle"):
        replayed(replay, delta(part("{}", index=0, id="a", name="look")))


def test_calls_that_nobody_offered_are_not_made(replay: Replay) -> None:
    chunk = delta(part("{}", index=0, id="a", name="look"), finish="tool_calls")
    assert replayed(replay, chunk, tools=()) == []


@pytest.mark.parametrize(
    "strange", [{"tool_calls": {}}, {"tool_calls": ["x"]}, {"tool_calls": [{"function": "x"}]}]
)
def test_strange_forms_break_nothing(replay: Replay, strange: dict[str, Any]) -> None:
    chunk = {"choices": [{"index": 0, "delta": strange, "finish_reason": "stop"}]}
    assert all(call.name == "unnamed" for call in replayed(replay, chunk))


def test_parts_of_a_call_are_signs_of_life(llm: FakeLlmServer) -> None:
    # Given a call whose arguments take longer to come than a first piece of text may

    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            _read_request(connection)
            connection.sendall(response_of(b""))
            for text in ('{"order"', ": ", '"A1"', "}"):
                threading.Event().wait(0.4)
                connection.sendall(events_of(delta(part(text, index=0, id="a", name="look"))))
            connection.sendall(events_of(delta(finish="tool_calls")))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        _, calls = said(model_of(url, first_s=1.0, later_s=1.0))
    finally:
        thread.join()
        listener.close()
    assert calls == [ToolCall("a", "look", {"order": "A1"})]
