"""Liveness, readiness, the balancer's check and what is counted."""

from prometheus_client.parser import text_string_to_metric_families

from kotaemon_node.domain.errors import StoreUnavailable
from tests.fakes.knowledge_base import GENERATION, manifest
from tests.fakes.services import FakeCluster

BALANCER = "/balancer/test-cluster"


def test_a_ready_pod() -> None:
    client = FakeCluster().client()

    assert client.get("/healthz").status_code == 200
    assert client.get(BALANCER).status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json == {
        "ready": True,
        "reasons": [],
        "name": "worker-0",
        "incarnation": "inc-1",
        "draining": False,
        "generations": {"default": GENERATION},
        "refused": {},
        "behind": {},
        "store": True,
        "vector_store": "",
    }


def test_a_pod_that_cannot_serve_says_why_and_stays_alive() -> None:
    cluster = FakeCluster()
    cluster.pod.reasons = ["no generation yet", "Redis does not answer"]
    client = cluster.client()

    ready = client.get("/readyz")

    assert ready.status_code == 503
    assert ready.json["ready"] is False
    assert ready.json["reasons"] == ["no generation yet", "Redis does not answer"]
    assert ready.json["error"] == {
        "code": "unavailable",
        "message": "no generation yet; Redis does not answer",
        "retryable": True,
        "trace_id": ready.headers["X-Trace-ID"],
    }
    assert ready.headers["Retry-After"]
    assert client.get(BALANCER).status_code == 503
    assert client.get("/healthz").status_code == 200


def test_a_pod_that_refused_a_generation_says_so_and_serves_the_one_before() -> None:
    cluster = FakeCluster()
    cluster.pod.refused = {"default": "checksum of vectors.faiss differs"}
    client = cluster.client()

    ready = client.get("/readyz")
    refused = client.get("/metrics").text
    cluster.pod.refused = {}
    healed = client.get("/metrics").text

    assert ready.status_code == 200
    assert ready.json["refused"] == {"default": "checksum of vectors.faiss differs"}
    assert 'kotaemon_knowledge_refused{kb="default"} 1.0' in refused
    assert 'kotaemon_knowledge_refused{kb="default"} 0.0' in healed


def test_a_pod_that_is_behind_stays_ready_and_says_so_until_it_stands_aside() -> None:
    cluster = FakeCluster()
    client = cluster.client()
    cluster.pod.behind = {"default": GENERATION + 1}

    ready = client.get("/readyz")
    shown = _metrics(client)
    cluster.pod.behind = {}
    healed = "\n".join(_metrics(client))

    assert (ready.status_code, ready.json["behind"]) == (200, {"default": GENERATION + 1})
    assert client.get(BALANCER).status_code == 200
    assert 'kotaemon_knowledge_behind{kb="default"} 1.0' in shown
    assert 'kotaemon_knowledge_behind{kb="default"} 0.0' in healed


def test_a_leaving_pod_is_404_for_the_balancer_so_that_its_streams_stay() -> None:
    cluster = FakeCluster()
    cluster.pod.draining = True
    client = cluster.client()

    for reasons in ([], ["draining"]):
        cluster.pod.reasons = reasons
        assert client.get(BALANCER).status_code == 404
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json["reasons"]) == (503, ["draining"])


def test_a_strangers_balancer_is_turned_away() -> None:
    client = FakeCluster().client()

    assert client.get("/balancer/other-cluster").status_code == 404
    assert client.get("/balancer/").status_code == 404


def test_health_asks_nobody() -> None:
    # given a pod whose store is away for everybody
    cluster = FakeCluster()
    cluster.turns.refusal = StoreUnavailable("Redis does not answer")
    cluster.presence.reports = []

    # then
    assert cluster.client().get("/healthz").json == {"status": "ok"}


def test_metrics_are_prometheus_text_with_what_the_pod_serves() -> None:
    cluster = FakeCluster()
    cluster.turns.running = 3
    client = cluster.client()
    client.get("/v1/sessions/s")
    client.get("/v1/sessions/t")
    client.get("/no/such/route")

    answer = client.get("/metrics")

    assert answer.status_code == 200
    assert answer.mimetype == "text/plain"
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["kotaemon_knowledge_generation", (("kb", "default"),)] == GENERATION
    assert samples["kotaemon_turns_running", ()] == 3
    assert samples["kotaemon_ready", ()] == 1
    assert samples["kotaemon_turns_total", (("outcome", "done"),)] == 0
    missing = (("method", "GET"), ("route", "/v1/sessions/<sid>"), ("status", "404"))
    assert samples["kotaemon_http_requests_total", missing] == 2
    unmatched = (("method", "GET"), ("route", "unmatched"), ("status", "404"))
    assert samples["kotaemon_http_requests_total", unmatched] == 1
    assert all(name.startswith("kotaemon_") for name, _ in samples)


def test_metrics_follow_the_pod() -> None:
    cluster = FakeCluster()
    client = cluster.client()
    assert f'kotaemon_knowledge_generation{{kb="default"}} {GENERATION}.0' in _metrics(client)

    cluster.knowledge.current = manifest(8)
    cluster.pod.reasons = ["stuck"]

    assert 'kotaemon_knowledge_generation{kb="default"} 8.0' in _metrics(client)
    assert "kotaemon_ready 0.0" in _metrics(client)


def _metrics(client: object) -> list[str]:
    return client.get("/metrics").text.splitlines()  # type: ignore[attr-defined,no-any-return]
