"""Every answer can be found again: trace ids, access log lines, metrics' labels."""

import pytest
from structlog.testing import capture_logs

from tests.fakes.services import FakeCluster


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/sessions/s", "/nothing", "/metrics"])
def test_every_answer_carries_a_trace_id(path: str) -> None:
    assert FakeCluster().client().get(path).headers["X-Trace-ID"] == "id-1"


def test_a_legal_trace_id_is_taken_over_and_an_illegal_one_replaced() -> None:
    cluster = FakeCluster()
    client = cluster.client()

    taken = client.post("/chat", json={"message": "a"}, headers={"X-Trace-ID": "from.afar-1"})
    replaced = client.get("/v1/sessions", headers={"X-Trace-ID": "two words"})

    assert taken.headers["X-Trace-ID"] == taken.json["trace_id"] == "from.afar-1"
    assert cluster.turns.submitted[0].trace_id == "from.afar-1"
    assert replaced.headers["X-Trace-ID"].startswith("id-")


def test_a_request_leaves_one_line_without_its_contents() -> None:
    client = FakeCluster().client()

    with capture_logs() as lines:
        client.post("/chat", json={"session_id": "s", "message": "my secret"})

    (line,) = lines
    assert line == {
        "event": "request",
        "log_level": "info",
        "route": "/chat",
        "method": "POST",
        "status": 200,
        "duration_s": 0.0,
    }


def test_a_bug_is_logged_whole() -> None:
    cluster = FakeCluster()
    cluster.turns.refusal = ZeroDivisionError("the detail")

    with capture_logs() as lines:
        cluster.client().post("/chat", json={"message": "a"})

    failure, _ = lines
    assert (failure["event"], failure["log_level"]) == ("request_failed", "error")
    assert isinstance(failure["exc_info"], ZeroDivisionError)


def test_probes_are_quiet() -> None:
    client = FakeCluster().client()

    with capture_logs() as lines:
        for path in ("/healthz", "/readyz", "/metrics", "/balancer/test-cluster"):
            client.get(path)

    assert [line["log_level"] for line in lines] == ["debug"] * 4
