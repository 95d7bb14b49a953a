"""Programs written for OpenAI's interface, unchanged, against a whole cluster; pods die of it."""

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import openai
import pytest
import requests

from tests import event_loops
from tests.cluster import Cluster
from tests.fakes.llm_server import FakeLlmServer

QUESTION = "How long does standard delivery to Singapore take?"
TALK = [{"role": "user", "content": QUESTION}]


def sdk(cluster: Cluster, **named: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{cluster.url}/v1", api_key="none", timeout=60, **named)


def test_the_official_sdk_is_answered_through_the_balancer(cluster: Cluster) -> None:
    client = sdk(cluster, _strict_response_validation=True)
    raw = client.chat.completions.with_raw_response.create(
        model="kotaemon",
        messages=TALK,  # type: ignore[arg-type]
    )
    whole = raw.parse()
    text = whole.choices[0].message.content or ""
    assert "[1]" in text
    assert whole.choices[0].message.sources[0]["n"] == 1  # type: ignore[attr-defined]
    assert len(raw.headers["x-request-id"]) == 32

    async def streamed() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=f"{cluster.url}/v1", api_key="none") as other:
            chunks = [
                chunk
                async for chunk in await other.chat.completions.create(
                    model="kotaemon",
                    messages=TALK,  # type: ignore[arg-type]
                    stream=True,
                )
            ]
        said = [chunk.choices[0].delta.content or "" for chunk in chunks]
        return chunks[0].id, "".join(said)

    assert event_loops.run(streamed()) == (whole.id, text)  # the same request, the same turn
    models = [model.id for model in client.models.list()]
    assert models[:2] == ["kotaemon", "kotaemon/default"]
    for model in models:
        if not model.startswith("kotaemon"):
            rows = sdk(cluster).embeddings.create(model=model, input=[QUESTION, "x"]).data
            assert len({len(row.embedding) for row in rows}) == 1


def test_what_follows_is_understood_by_what_the_caller_sent_before(cluster: Cluster) -> None:
    client = sdk(cluster)
    first = client.chat.completions.create(model="kotaemon", messages=TALK)  # type: ignore[arg-type]
    said = {"role": "assistant", "content": first.choices[0].message.content}
    asked = {"role": "user", "content": "And to Malaysia?"}

    def sources(messages: Any) -> list[str]:
        answer = client.chat.completions.create(model="kotaemon", messages=messages)
        found = answer.choices[0].message.sources  # type: ignore[attr-defined]
        return [source["document"] for source in found]

    alone, following = sources([asked]), sources([*TALK, said, asked])
    assert any("shipping" in document for document in following), (alone, following)
    assert following != alone


def test_a_proposal_is_confirmed_in_a_session_and_never_by_messages(cluster: Cluster) -> None:
    client = sdk(cluster)
    # An order of its own: other tests of the shared cluster cancel those of other users.
    cancel = {"role": "user", "content": "Cancel order 2001"}
    asked = "I can do this for you: cancel order 2001\n\nShall I? Please answer yes or no."
    yes = [cancel, {"role": "assistant", "content": asked}, {"role": "user", "content": "yes"}]
    for messages in ([cancel], yes):
        answer = client.chat.completions.create(model="kotaemon", messages=messages)  # type: ignore[arg-type]
        assert "Done" not in (answer.choices[0].message.content or "")
        assert "Shall I" not in (answer.choices[0].message.content or "")

    made = requests.post(f"{cluster.url}/v1/sessions", json={"user_id": "mei"}, timeout=30)
    where = {"X-Session-ID": made.json()["session_id"]}
    proposed = client.chat.completions.create(
        model="kotaemon",
        messages=[cancel],  # type: ignore[list-item]
        extra_headers=where,
    )
    assert "Shall I" in (proposed.choices[0].message.content or "")
    no = [*yes[:2], {"role": "user", "content": "no"}]
    dropped = client.chat.completions.create(
        model="kotaemon",
        messages=no,  # type: ignore[arg-type]
        extra_headers=where,
    )
    assert "not done it" in (dropped.choices[0].message.content or "")


@pytest.mark.long
def test_a_pod_that_is_killed_in_a_chat_costs_no_answer(tmp_path: Path) -> None:
    with (
        FakeLlmServer(token_ms=40, tokens_min=120) as model,
        Cluster(
            tmp_path / "data",
            workers=2,
            environment={
                "LLM_BASE_URL": model.base_url, "LLM_MODEL": "fake", "LLM_CONTINUE": "vllm",
            },
        ) as cluster,
    ):  # fmt: skip
        client = sdk(cluster, max_retries=4)
        whole: list[Any] = []

        def ask() -> None:
            whole.append(
                client.chat.completions.create(model="kotaemon", messages=TALK)  # type: ignore[arg-type]
            )

        with client.chat.completions.with_streaming_response.create(
            model="kotaemon",
            messages=TALK,  # type: ignore[arg-type]
            stream=True,
        ) as cut:
            lines = cut.iter_lines()
            while "content" not in next(lines):
                pass
            pod = cut.headers["X-Served-By"]
            waiting = threading.Thread(target=ask)
            waiting.start()
            for _ in range(20):
                next(lines)
            os.kill(cluster.pid(pod), signal.SIGKILL)
            with pytest.raises(Exception, match=r"(?i)peer|incomplete|closed|disconnect"):
                for _ in lines:
                    pass
        waiting.join(120)

        again = list(
            client.chat.completions.create(model="kotaemon", messages=TALK, stream=True)  # type: ignore[call-overload]
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in again)
        assert whole, "the call that waited was answered by the other pod"
        assert {whole[0].id} == {chunk.id for chunk in again}
        assert whole[0].choices[0].message.content == text
        assert again[-1].choices[0].finish_reason == "stop"
        counts = json.loads(_get(f"{model.address}/stats"))
        assert counts["calls"] <= 3, counts  # the answer, its continuation, perhaps a rewrite


def _get(url: str) -> str:
    import urllib.request

    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())
