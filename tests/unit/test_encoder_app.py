"""The encoder as a server: OpenAI's form, several models, texts of many callers in one batch."""

import base64
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.adapters.system.tasks import ThreadTasks
from kotaemon_node.api.embeddings import batched
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Overloaded
from kotaemon_node.retrieval.batching import QuestionEncoder
from kotaemon_node.server.encoder_app import EncoderMetrics, create_encoder_app
from tests.fakes.encoder import HashingEncoder


def client(*encoders: HashingEncoder, names: Sequence[str] = ("small", "large")) -> FlaskClient:
    app = create_encoder_app(
        dict(zip(names, encoders, strict=False)),
        tasks=ThreadTasks(native_threads=2),
        clock=SystemClock(),
        metrics=EncoderMetrics(),
    )
    return app.test_client()


def asked(http: FlaskClient, **fields: Any) -> Any:
    answer = http.post("/v1/embeddings", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json


def expected(*texts: str) -> np.ndarray:
    return HashingEncoder().encode_passages(texts)["all"].vectors


def test_one_text_and_many_in_both_forms() -> None:
    http = client(HashingEncoder())

    one = asked(http, model="small", input="two years")
    many = asked(http, input=["two years", "", "保修期"], encoding_format="base64", user="x")

    assert one["object"] == "list"
    assert one["model"] == many["model"] == "small"
    assert one["usage"]["total_tokens"] >= 1
    assert [row["index"] for row in many["data"]] == [0, 1, 2]
    assert np.allclose(one["data"][0]["embedding"], expected("two years")[0])
    rows = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in many["data"]]
    assert np.allclose(rows, expected("two years", "", "保修期"))


def test_a_model_is_asked_for_by_its_name() -> None:
    http = client(HashingEncoder(), HashingEncoder(dimension=128))

    assert len(asked(http, model="LARGE", input="x")["data"][0]["embedding"]) == 128
    assert len(asked(http, model="somebody/small", input="x")["data"][0]["embedding"]) == 64
    assert [row["id"] for row in http.get("/v1/models").json["data"]] == ["small", "large"]
    assert http.get("/healthz").json["models"] == ["small", "large"]
    refused = http.post("/v1/embeddings", json={"model": "huge", "input": "x"})
    assert refused.status_code == 404
    assert "small, large" in refused.json["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"input": []}, 422),
        ({"input": [1, 2]}, 422),
        ({"input": "x", "dimensions": 8}, 422),
        ({"input": "x", "encoding_format": "int8"}, 422),
        ({"input": ["x"] * (limits.EMBEDDING_INPUTS_MAX + 1)}, 413),
        ({"input": "x" * (limits.EMBEDDING_TEXT_CHARS_MAX + 1)}, 413),
        ({"input": ["x" * limits.EMBEDDING_TEXT_CHARS_MAX] * 11}, 413),
    ],
)
def test_what_cannot_be_embedded_is_refused(body: dict[str, Any], status: int) -> None:
    http = client(HashingEncoder())

    assert http.post("/v1/embeddings", json=body).status_code == status
    assert f'requests_total{{status="{status}"}} 1.0' in http.get("/metrics").text


def test_texts_of_callers_that_come_together_are_encoded_together() -> None:
    entered, through = threading.Event(), threading.Event()

    def compute(work: Callable[..., Any], *arguments: Any) -> Any:
        entered.set()
        assert through.wait(60)
        return work(*arguments)

    model = HashingEncoder()
    queue = QuestionEncoder(model, compute=compute)
    embed = batched(queue)
    found: dict[str, np.ndarray] = {}

    def ask(text: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: found.update({text: embed([text, "again"])}))
        thread.start()
        return thread

    threads = [ask("first")]
    assert entered.wait(60)
    threads += [ask(f"other {number}") for number in range(20)]
    for _ in range(6_000):
        if queue._waiting == 40:
            break
        threads[0].join(0.01)
    through.set()
    for thread in threads:
        thread.join(60)

    assert [len(texts) for texts in model.calls] == [2, 32, 8]
    for text, vectors in found.items():
        assert np.allclose(vectors, expected(text, "again"))


def test_too_many_texts_are_refused_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    http = client(HashingEncoder())
    monkeypatch.setattr("kotaemon_node.retrieval.batching.QuestionEncoder.encode_all", _overloaded)

    answer = http.post("/v1/embeddings", json={"input": "x"})

    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "1"


def _overloaded(_self: object, _questions: Sequence[str]) -> Any:
    raise Overloaded("too many questions wait for the encoder")
