"""Every answer can be found again: trace ids, access log lines, metrics' labels."""

import pytest
from structlog.testing import capture_logs

from kotaemon_node.telemetry.spans import Recorded, RecordedTraces
from tests.fakes.services import FakeCluster

FRESH = "eb66c623572f8a2a5167ce017dee0541"
"""Made of the first id that a ``FakeCluster`` mints."""
NAMED = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/sessions/s", "/nothing", "/metrics"])
def test_every_answer_carries_a_trace_id(path: str) -> None:
    assert FakeCluster().client().get(path).headers["X-Trace-ID"] == FRESH


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Trace-ID": NAMED},
        {"X-Turn-Default": NAMED},
        {"traceparent": f"00-{NAMED}-{SPAN}-01"},
        {"traceparent": f"00-{NAMED}-{SPAN}-00", "X-Trace-ID": "f" * 32},
        {"traceparent": f"01-{NAMED}-{SPAN}-03-what-comes-later", "X-Turn-Default": "f" * 32},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01", "X-Trace-ID": NAMED},
        {"X-Trace-ID": "two words", "X-Turn-Default": NAMED},
    ],
)
def test_one_id_is_that_of_whoever_began_the_trace(headers: dict[str, str]) -> None:
    cluster = FakeCluster()

    answer = cluster.client().post("/chat", json={"message": "a"}, headers=headers)

    assert answer.headers["X-Trace-ID"] == answer.json["trace_id"] == NAMED
    assert cluster.turns.submitted[0].trace_id == NAMED


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Trace-ID": "two words"},
        {"X-Trace-ID": "from.afar-1"},
        {"X-Trace-ID": "0" * 32},
        {"X-Trace-ID": NAMED.upper()},
        {"traceparent": f"00-{NAMED}-{SPAN}"},
        {"traceparent": f"00-{NAMED}-{SPAN}-01-more"},
        {"traceparent": f"ff-{NAMED}-{SPAN}-01"},
        {"traceparent": f"00-{NAMED}-{'0' * 16}-01"},
        {"traceparent": f"00-{NAMED.upper()}-{SPAN}-01"},
        {"traceparent": f"00-{NAMED}-{SPAN}-01, 00-{NAMED}-{SPAN}-01"},
        {"traceparent": f"01-{NAMED}-{SPAN}-01-{'x' * 600}"},
    ],
)
def test_what_is_no_id_of_a_trace_is_replaced(headers: dict[str, str]) -> None:
    answer = FakeCluster().client().get("/v1/sessions", headers=headers)

    assert answer.status_code == 200
    assert answer.headers["X-Trace-ID"] == FRESH


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

    # A task of a test before may still be logging.
    (failure,) = (line for line in lines if line["event"] == "request_failed")
    assert failure["log_level"] == "error"
    assert isinstance(failure["exc_info"], ZeroDivisionError)


def test_probes_are_quiet() -> None:
    client = FakeCluster().client()

    with capture_logs() as lines:
        for path in ("/healthz", "/readyz", "/metrics", "/balancer/test-cluster"):
            client.get(path)

    assert [line["log_level"] for line in lines] == ["debug"] * 4


def test_a_request_is_a_span_until_its_answer_was_sent() -> None:
    spans: list[Recorded] = []
    cluster = FakeCluster()
    cluster.traces = RecordedTraces(spans.append, clock=cluster.clock)
    client = cluster.client()
    since_us = int((cluster.clock.at_s - 2) * 1_000_000)
    headers = {
        "traceparent": f"00-{NAMED}-{SPAN}-01",
        "X-Balancer-Start": str(since_us),
        "Accept": "text/event-stream",
    }

    with client.post(
        "/v1/sessions/my-session/turns", json={"message": "my secret"}, headers=headers
    ) as answer:
        assert answer.text.count("event: ") == 5
        assert [one.name for one in spans] == ["balance"]  # the client has not left yet

    balance, request = spans
    assert (balance.service, balance.ended_ns - balance.begun_ns) == ("haproxy", 2e9)
    assert balance.parent is not None
    assert (balance.parent.trace_id, balance.parent.span_id) == (NAMED, SPAN)
    assert request.parent == balance.context
    assert (request.name, request.kind) == ("POST /v1/sessions/<sid>/turns", "server")
    assert [name for name, _, _ in request.events] == ["stream_begins"]
    assert request.facts == {
        "http.request.method": "POST",
        "http.route": "/v1/sessions/<sid>/turns",
        "http.response.status_code": 200,
    }


@pytest.mark.parametrize(
    "start",
    ["", "soon", "-5", "1_0", "²", "9" * 30, "17", str(1_700_000_010 * 10**6)],
    ids=["none", "word", "negative", "underscore", "superscript", "long", "old", "to come"],
)
def test_a_balancers_time_that_cannot_be_is_not_believed(start: str) -> None:
    spans: list[Recorded] = []
    cluster = FakeCluster()
    cluster.traces = RecordedTraces(spans.append, clock=cluster.clock)

    with cluster.client().get("/v1/sessions", headers={"X-Balancer-Start": start}):
        pass

    assert [one.name for one in spans] == ["GET /v1/sessions"]


def test_probes_and_errors_in_traces() -> None:
    spans: list[Recorded] = []
    cluster = FakeCluster()
    cluster.traces = RecordedTraces(spans.append, clock=cluster.clock)
    cluster.turns.refusal = ZeroDivisionError("the detail")
    client = cluster.client()

    for path in ("/healthz", "/readyz", "/metrics", "/balancer/test-cluster"):
        client.get(path).close()
    client.get("/a-secret-path").close()
    client.post("/chat", json={"message": "a"}).close()

    lost, failed = spans
    assert (lost.name, lost.failure) == ("GET unmatched", "")
    assert lost.facts["http.response.status_code"] == 404
    assert (failed.name, failed.failure) == ("POST /chat", "500")
