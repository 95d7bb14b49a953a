"""Recorded exchanges of OpenAI's interface: as our upstream's answers, and as requests to us."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kotaemon_node.adapters.llm.openai import OpenAiLanguageModel
from kotaemon_node.api.openai.bodies import chat_request
from kotaemon_node.api.openai.completion import Telling, whole
from kotaemon_node.domain.errors import LanguageModelError
from kotaemon_node.domain.frames import Frame, FrameType
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.language_model import ChatMessage, ToolCall, Usage
from kotaemon_node.ports.tools import ToolSpec
from tests.openai_door import door, with_model
from tests.unit.test_openai_chat import embed

pytestmark = pytest.mark.data
CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"


def folder() -> Path:
    return Path(os.environ["KOTAEMON_TEST_DATA"]) / "openai_api"


@cache
def rows(path: str) -> list[dict[str, Any]]:
    lines = (folder() / "dev" / "exchanges.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["path"] == path]


@cache
def validator(name: str) -> Draft202012Validator:
    described = json.loads((folder() / "shared" / "openapi.subset.json").read_text())
    known = _nullable(described["components"])
    components = {"$ref": f"#/components/schemas/{name}", "components": known}
    return Draft202012Validator(components)


def _nullable(schema: Any) -> Any:
    """Return what 3.0 calls ``nullable`` as later versions say it."""
    if isinstance(schema, list):
        return [_nullable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: _nullable(value) for name, value in schema.items() if name != "nullable"}
    return {"anyOf": [told, {"type": "null"}]} if schema.get("nullable") is True else told


def valid(name: str, value: Any) -> None:
    problems = [
        f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(value)
    ]
    assert not problems, problems


@contextmanager
def upstream(row: dict[str, Any]) -> Iterator[OpenAiLanguageModel]:
    """A server that answers as was recorded."""

    class Replay(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = row["response"].encode()
            self.send_response(row["status"])
            kind = "text/event-stream" if row["stream"] else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Replay)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield OpenAiLanguageModel(
            base_url=f"http://127.0.0.1:{server.server_port}/v1",
            api_key="",
            model="m",
            continue_mode="none",
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def recorded(row: dict[str, Any]) -> tuple[str, dict[int, dict[str, str]], dict[str, int]]:
    """Return text, calls and usage of the first choice, put together from what was recorded."""
    if row["stream"]:
        lines = [line[6:] for line in row["response"].splitlines() if line.startswith("data: {")]
        chunks = [json.loads(line) for line in lines]
    else:
        chunks = [json.loads(row["response"])]
    text, calls, usage = "", dict[int, dict[str, str]](), dict[str, int]()
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"][:1]:
            said = choice.get("delta") or choice.get("message") or {}
            text += said.get("content") or ""
            for place, call in enumerate(said.get("tool_calls") or ()):
                one = calls.setdefault(call.get("index", place), {"name": "", "arguments": ""})
                one["name"] += call["function"].get("name") or ""
                one["arguments"] += call["function"].get("arguments") or ""
    return text, calls, usage


def asked_of(row: dict[str, Any]) -> dict[str, Any]:
    return {**json.loads(row["request"]), "model": "kotaemon"}


def test_what_an_upstream_said_comes_out_of_the_door_as_it_was_said() -> None:
    played = 0
    for row in rows(CHAT):
        body = asked_of(row)
        offered = [
            ToolSpec(tool["function"]["name"], "", tool["function"]["parameters"], "read")
            for tool in body.get("tools", ())
        ]
        usage = Usage()
        with upstream(row) as model:
            pieces = model.stream(
                (ChatMessage("user", "?"),), prefix="", usage=usage, stop=Stop(), tools=offered
            )
            if row["status"] != 200:
                with pytest.raises(LanguageModelError):
                    list(pieces)
                played += 1
                continue
            said = list(pieces)
        text, calls, counted = recorded(row)
        assert "".join(piece for piece in said if isinstance(piece, str)) == text
        handed = [piece for piece in said if isinstance(piece, ToolCall)]
        assert [(it.name, it.arguments) for it in handed] == [
            (call["name"], json.loads(call["arguments"])) for call in calls.values()
        ]
        if counted:
            assert usage.prompt_tokens == counted["prompt_tokens"]
            assert usage.completion_tokens == counted["completion_tokens"]
        _told(body, said, usage, text)
        played += 1
    assert played == len(rows(CHAT)) > 10


def _told(body: dict[str, Any], said: list[str | ToolCall], usage: Usage, text: str) -> None:
    """What the pieces become at the door is a completion by OpenAI's own description."""
    telling = Telling(chat_request({**body, "n": None}), streams=False)
    frames: list[tuple[FrameType, dict[str, Any]]] = [
        ("text", {"content": piece})
        if isinstance(piece, str)
        else (
            "tool_call",
            {"id": piece.id, "name": piece.name, "args": piece.arguments, "state": "handed"},
        )
        for piece in said
    ]
    counted = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    frames.append(("done", {"state": "done", "usage": counted}))
    for number, (kind, fields) in enumerate(frames, start=1):
        list(telling.take(Frame(kind, fields, "t", "trace", number)))
    made = whole(telling, {"id": "chatcmpl-1", "created": 1, "model": "kotaemon"}, {})
    assert (made["choices"][0]["message"]["content"] or "") == text
    assert made["usage"]["prompt_tokens"] == usage.prompt_tokens or not usage.prompt_tokens
    valid("CreateChatCompletionResponse", made)


def test_recorded_chats_are_answered_as_openai_describes_it() -> None:
    client = door(openai=with_model()).client()
    counts = {"whole": 0, "stream": 0, "refused": 0}
    for row in rows(CHAT):
        body = asked_of(row)
        answer = client.post(CHAT, json=body)
        if body.get("n", 1) != 1:
            assert (answer.status_code, answer.json["error"]["param"]) == (400, "n")
            counts["refused"] += 1
            continue
        assert answer.status_code == 200, answer.text
        if body.get("stream"):
            events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
            assert events[-1] == "[DONE]"
            for event in events[:-1]:
                valid("CreateChatCompletionStreamResponse", json.loads(event))
            counts["stream"] += 1
        else:
            valid("CreateChatCompletionResponse", answer.json)
            counts["whole"] += 1
    assert sum(counts.values()) == len(rows(CHAT))
    assert min(counts.values()) > 0


def test_recorded_embeddings_and_models_are_answered_as_openai_describes_it() -> None:
    client = door(openai=with_model(embed={"mini": embed})).client()
    for row in rows(EMBEDDINGS):
        body = {**json.loads(row["request"]), "model": "mini"}
        answer = client.post(EMBEDDINGS, json=body)
        if body.get("dimensions"):
            assert (answer.status_code, answer.json["error"]["param"]) == (400, "dimensions")
            continue
        assert answer.status_code == 200, answer.text
        if body.get("encoding_format") == "base64":
            row_of = answer.json["data"][0]
            assert isinstance(row_of["embedding"], str)  # which the description does not know
        else:
            valid("CreateEmbeddingResponse", answer.json)
    valid("ListModelsResponse", client.get("/v1/models").json)
    valid("Model", client.get("/v1/models/kotaemon").json)
