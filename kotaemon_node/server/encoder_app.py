"""The WSGI application of an encoder that others ask: embeddings, health, metrics."""

from collections.abc import Mapping
from typing import Final

from flask import Flask, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.body import read_body
from kotaemon_node.api.embeddings import EmbeddingsRequest, batched, embeddings
from kotaemon_node.api.errors import error_answer
from kotaemon_node.domain import limits
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.retrieval.batching import QuestionEncoder
from kotaemon_node.telemetry.metrics import METRICS_MEDIA_TYPE

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


class EncoderMetrics:
    """What an encoder counts; docs/how-to/encoders.md lists the same."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._agreement = Gauge(
            "kotaemon_encoder_agreement",
            "Lowest cosine between the model's vectors of its probes and those at full precision.",
            ("model",),
            registry=self._registry,
        )
        self._requests = Counter(
            "kotaemon_embeddings_requests_total",
            "Requests for embeddings, by the status of their answer.",
            ("status",),
            registry=self._registry,
        )
        self._texts = Counter(
            "kotaemon_embeddings_texts_total", "Texts embedded.", registry=self._registry
        )
        self._seconds = Histogram(
            "kotaemon_embeddings_seconds",
            "One request that was answered, waiting for others' texts included.",
            registry=self._registry,
            buckets=_SECONDS,
        )

    def agreement(self, model: str, cosine: float) -> None:
        """Note how a model did on its probes."""
        self._agreement.labels(model).set(cosine)

    def answered(self, texts: int, took_s: float) -> None:
        """Count a request that was answered."""
        self._requests.labels("200").inc()
        self._texts.inc(texts)
        self._seconds.observe(took_s)

    def refused(self, status: int) -> None:
        """Count one that was not."""
        self._requests.labels(str(status)).inc()

    def exposition(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self._registry)


def create_encoder_app(
    encoders: Mapping[str, Encoder], *, tasks: Tasks, clock: Clock, metrics: EncoderMetrics
) -> Flask:
    """Return the application. ``encoders``: name to one of a single space, without prefixes."""
    app = Flask("kotaemon_encoder", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = limits.BODY_BYTES_MAX
    models = {
        name: batched(QuestionEncoder(encoder, compute=tasks.compute))
        for name, encoder in encoders.items()
    }

    @app.post("/v1/embeddings")
    def embed() -> Response:
        began_s = clock.monotonic_s()
        found = embeddings(read_body(EmbeddingsRequest), models)
        metrics.answered(len(found["data"]), clock.monotonic_s() - began_s)
        return json_answer(found)

    @app.get("/v1/models")
    def served() -> Response:
        rows = [{"id": name, "object": "model", "owned_by": "kotaemon"} for name in models]
        return json_answer({"object": "list", "data": rows})

    @app.get("/healthz")
    def healthz() -> Response:
        return json_answer({"alive": True, "models": list(models)})

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(metrics.exposition(), content_type=METRICS_MEDIA_TYPE)

    @app.errorhandler(Exception)
    def refused(error: Exception) -> Response:
        answer = error_answer(error, trace_id="")
        metrics.refused(answer.status_code)
        return answer

    return app
