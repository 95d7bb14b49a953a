"""Chat completions as the official SDK reads them, strictly."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from kotaemon_node.api.openai.fields import FIELDS
from kotaemon_node.domain.errors import Draining, Overloaded
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.turn import State
from tests.fakes.services import ANSWER, FakeCluster
from tests.openai_door import QUESTION, door, sdk, with_model

TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}


def ask(cluster: FakeCluster, messages: Any = QUESTION, **named: Any) -> Any:
    return sdk(cluster).chat.completions.create(model="kotaemon", messages=messages, **named)


def given(cluster: FakeCluster) -> Any:
    return cluster.turns.submitted[-1].options.get("given", {})


def test_an_answer_has_its_text_its_sources_and_where_it_is_kept() -> None:
    cluster = door()
    raw = sdk(cluster).chat.completions.with_raw_response.create(
        model="kotaemon", messages=QUESTION
    )
    answer = raw.parse()
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == (ANSWER, "stop")
    assert choice.message.sources[0]["n"] == 1  # type: ignore[attr-defined]
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0
    turn = cluster.turns.submitted[0]
    assert answer.kotaemon["turn_id"] == turn.key.turn_id  # type: ignore[attr-defined]
    assert raw.headers["x-request-id"] == raw.headers["X-Trace-ID"] == turn.trace_id


def test_a_stream_says_the_same_in_chunks() -> None:
    client = sdk(door())
    chunks = list(
        client.chat.completions.create(
            model="kotaemon", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    said = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in said) == ANSWER
    assert said[0].role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-2:] == [None, "stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_same_request_again_is_the_same_turn_in_either_form() -> None:
    cluster = door()
    first, again = ask(cluster), ask(cluster)
    list(ask(cluster, stream=True))
    assert first.id == again.id
    assert len(cluster.turns.submitted) == 1

    cluster.clock.at_s += 599
    ask(cluster)
    assert len(cluster.turns.submitted) == 1
    cluster.clock.at_s += 2
    ask(cluster)
    assert len(cluster.turns.submitted) == 2


def test_what_was_asked_at_the_end_of_a_window_is_found_in_the_next_one() -> None:
    cluster = door()
    cluster.clock.at_s = 599.0
    ask(cluster)
    cluster.clock.at_s = 601.0
    ask(cluster)
    assert len(cluster.turns.submitted) == 1
    # And by a pod whose clock is behind.
    cluster.clock.at_s = 600.5
    ask(cluster, [{"role": "user", "content": "Another"}])
    cluster.clock.at_s = 599.5
    ask(cluster, [{"role": "user", "content": "Another"}])
    assert len(cluster.turns.submitted) == 2


def test_a_request_whose_turn_failed_is_tried_again_but_not_under_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = door()
    error = {"code": "turn_crashed", "message": "three pods", "retryable": False}
    cluster.turns.ending = {"state": State.FAILED, "error": error}

    def follow(key: Any, principal: Any, *, after: int) -> Any:
        yield Frame("error", error, key.turn_id, "t", 1)

    monkeypatch.setattr(cluster.turns, "follow", follow)
    for headers in ({}, {"Idempotency-Key": "k"}):
        for _ in range(2):
            with pytest.raises(openai.InternalServerError):
                list(ask(cluster, extra_headers=headers))
    assert len(cluster.turns.submitted) == 3


def test_a_key_names_the_turn_and_another_body_under_it_is_a_conflict() -> None:
    cluster = door()
    headers = {"Idempotency-Key": "order 66"}
    ids = {ask(cluster, extra_headers=headers).id for _ in range(2)}
    assert len(ids) == 1
    with pytest.raises(openai.ConflictError) as refused:
        ask(cluster, [{"role": "user", "content": "else"}], extra_headers=headers)
    assert refused.value.response.headers["x-should-retry"] == "false"
    cluster.clock.at_s += 10_000
    assert ask(cluster, extra_headers=headers).id in ids


def test_what_was_said_before_is_given_to_the_turn() -> None:
    cluster = door(openai=with_model())
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How long is the warranty of kettles?"},
        {"role": "assistant", "content": "Two years [1]."},
        {"role": "user", "content": [{"type": "text", "text": "and of lamps?"}]},
    ]
    ask(cluster, talk, temperature=0, max_completion_tokens=50)
    turn = cluster.turns.submitted[0]
    assert turn.message == "and of lamps?"
    assert turn.options["alone"] is True
    assert given(cluster) == {
        "history": [
            {"role": "user", "content": "How long is the warranty of kettles?"},
            {"role": "assistant", "content": "Two years [1]."},
        ],
        "wishes": "Be brief.",
        "sampling": {"max_tokens": 50, "temperature": 0.0},
    }


def test_a_named_session_has_its_own_history_and_can_be_asked_for_a_yes() -> None:
    cluster = door()
    talk = [*QUESTION, {"role": "assistant", "content": "Shall I?"}]
    ask(cluster, [*talk, {"role": "user", "content": "yes"}], extra_headers={"X-Session-ID": "s1"})
    turn = cluster.turns.submitted[0]
    assert turn.key.session.session_id == "s1"
    assert turn.options == {}


def test_without_a_language_model_tools_are_passed_over_but_not_required() -> None:
    cluster = door()
    ask(cluster, tools=[TOOL], temperature=0.5)
    assert given(cluster) == {}
    with pytest.raises(openai.BadRequestError) as refused:
        ask(cluster, tools=[TOOL], tool_choice="required")
    assert refused.value.param == "tool_choice"


def handing(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the pod's turns end with a call of the caller's function."""
    call = {"id": "c1", "name": "weather", "args": {"city": "Gent"}, "state": "handed", "step": "1"}

    def follow(key: Any, principal: Any, *, after: int) -> Any:
        yield Frame("text", {"content": "One moment.", "offset": 0}, key.turn_id, "t", 1)
        yield Frame("tool_call", call, key.turn_id, "t", 2)
        yield Frame("done", {"state": "done"}, key.turn_id, "t", 3)

    monkeypatch.setattr(cluster.turns, "follow", follow)


def test_a_call_of_the_callers_function_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = door(openai=with_model())
    handing(cluster, monkeypatch)
    (choice,) = ask(cluster, tools=[TOOL]).choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls[0].function.arguments == '{"city":"Gent"}'
    assert given(cluster)["tools"][0]["name"] == "weather"
    with sdk(cluster).chat.completions.stream(
        model="kotaemon", messages=QUESTION, tools=[TOOL]
    ) as stream:
        (built,) = stream.get_final_completion().choices
    assert built.message.tool_calls[0].id == "c1"
    assert built.message.content == "One moment."


def test_what_the_function_told_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = door(openai=with_model())
    handing(cluster, monkeypatch)
    message = ask(cluster, tools=[TOOL]).choices[0].message
    answered = {"role": "tool", "tool_call_id": "c1", "content": "sunny"}
    ask(cluster, [*QUESTION, message, answered], tools=[TOOL])
    assert cluster.turns.submitted[-1].message == QUESTION[0]["content"]
    assert given(cluster)["results"] == [
        {
            "text": "One moment.",
            "calls": [
                {"id": "c1", "name": "weather", "arguments": {"city": "Gent"}, "result": "sunny"}
            ],
        }
    ]


@pytest.mark.parametrize("name", sorted(n for n, it in FIELDS.items() if it.treated == "refused"))
def test_what_cannot_be_had_is_refused_by_name_and_what_asks_for_nothing_is_not(name: str) -> None:
    cluster = door()
    with pytest.raises(openai.BadRequestError) as refused:
        ask(cluster, extra_body={name: 7})
    assert (refused.value.param, refused.value.code) == (name, "unsupported_parameter")
    for harmless in (None, *FIELDS[name].harmless):
        ask(cluster, extra_body={name: harmless})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages[0].content"),
        ({"messages": [*QUESTION, {"role": "assistant", "content": "x"}]}, "messages[1]"),
        (
            {"messages": [*QUESTION, {"role": "tool", "tool_call_id": "c", "content": "x"}]},
            "messages[1].tool_call_id",
        ),
        ({"temperature": 3}, "temperature"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tools": [TOOL, TOOL]}, "tools"),
        ({"tools": [TOOL], "tool_choice": "must"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content",
        ),
    ],
)
def test_a_field_that_is_wrong_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(door(), extra_body=body)
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"


def test_other_errors_have_openais_form_and_say_when_to_come_back() -> None:
    cluster = door()
    with pytest.raises(openai.NotFoundError) as unknown:
        sdk(cluster).chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")

    cluster.turns.refusal = Overloaded("full")
    with pytest.raises(openai.RateLimitError) as full:
        ask(cluster)
    assert full.value.response.headers["retry-after-ms"] == "1000"
    cluster.turns.refusal = Draining("leaving")
    with pytest.raises(openai.InternalServerError) as leaving:
        ask(cluster)
    assert (leaving.value.status_code, leaving.value.code) == (503, "draining")
    answer = cluster.client().get("/v1/chat/completions")
    assert (answer.status_code, answer.json["error"]["type"]) == (405, "invalid_request_error")

    closed = FakeCluster(auth_mode="keys")
    with pytest.raises(openai.AuthenticationError) as stranger:
        ask(closed)
    assert stranger.value.code == "invalid_api_key"


def test_models_are_listed_and_read() -> None:
    client = sdk(door(openai=with_model(embed={"mini": embed})))
    assert [model.id for model in client.models.list()] == ["kotaemon", "kotaemon/default", "mini"]
    assert client.models.retrieve("kotaemon/default").owned_by == "kotaemon"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("kotaemon/none")


def embed(texts: Any) -> Any:
    return np.array([[len(text), 0.5] for text in texts], dtype=np.float32)


def test_embeddings_come_as_numbers_or_base64_and_tokens_are_refused() -> None:
    cluster = door(openai=with_model(embed={"mini": embed}))
    client = sdk(cluster)
    texts = ["a", "bcd"]
    # The SDK asks for base64 by itself, and decodes it only where it does not check strictly.
    lax = sdk(cluster, _strict_response_validation=False)
    for rows in (
        client.embeddings.create(model="mini", input=texts, encoding_format="float").data,
        lax.embeddings.create(model="mini", input=texts).data,
    ):
        assert [row.embedding for row in rows] == [[1.0, 0.5], [3.0, 0.5]]
    raw = lax.embeddings.create(model="mini", input="a", encoding_format="base64")
    assert len(base64.b64decode(raw.data[0].embedding)) == 8  # type: ignore[arg-type]
    for wrong, param in (({"input": [[1, 2]]}, "input"), ({"dimensions": 1}, "dimensions")):
        with pytest.raises(openai.BadRequestError) as refused:
            client.embeddings.create(**{"model": "mini", "input": "a", **wrong})
        assert refused.value.param == param
        # What LangChain sends unless it is told otherwise.
        assert ("check_embedding_ctx_length=False" in str(refused.value)) is (param == "input")
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="kotaemon", input="a")


def test_the_page_has_a_row_for_each_field() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "openai.md").read_text()
    for name, field in FIELDS.items():
        assert f"| `{name}` | {field.treated} | {field.meaning} |" in page
