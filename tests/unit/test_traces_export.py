"""Ended spans reach a collector as OTLP; one that is away, slow or broken costs nobody anything."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.telemetry.otlp import SpanQueue
from kotaemon_node.telemetry.spans import RecordedTraces
from kotaemon_node.telemetry.tracing import Tracing
from tests.fakes.collector import Collector
from tests.redis_server import free_port

TRACE = "0af7651916cd43dd8448eb211c80319c"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


class Sender:
    """A queue to a collector, and traces that fill it."""

    def __init__(self, url: str, *, timeout_s: float = 30.0, waiting_max: int = 50) -> None:
        self.counted: Counter[str] = Counter()
        self.queue = SpanQueue(
            url,
            headers={"authorization": "Bearer token"},
            service="kotaemon",
            instance="worker-7",
            count=lambda outcome, spans: self.counted.update({outcome: spans}),
            clock=SystemClock(),
            timeout_s=timeout_s,
            waiting_max=waiting_max,
        )
        self.traces = RecordedTraces(self.queue.put, clock=SystemClock())

    def end_spans(self, count: int) -> None:
        for _ in range(count):
            self.traces.begin("request", trace_id=TRACE).end()


def test_a_span_arrives_as_it_was(collector: Collector) -> None:
    sender = Sender(collector.url + "/")
    above = sender.traces.foreign("haproxy", "balance", 0.5, trace_id=TRACE, above="")
    with sender.traces.begin("POST /chat", trace_id=TRACE, above=above, kind="server") as request:
        request.tell({"http.response.status_code": 503, "kotaemon.cited": True, "a": 0.5})
        request.event("stream_begins")
        request.fail("unavailable")

    assert sender.queue.flush()

    balance, seen = collector.trace(TRACE)
    assert (balance.service, balance.instance, balance.parent_id) == ("haproxy", "", "")
    assert balance.ended_ns - balance.begun_ns == pytest.approx(0.5e9, rel=0.2)
    assert (seen.service, seen.instance, seen.kind) == ("kotaemon", "worker-7", "server")
    assert seen.parent_id == balance.span_id
    assert (seen.name, seen.failed, seen.events) == ("POST /chat", True, ("stream_begins",))
    assert seen.facts == {
        "http.response.status_code": 503,
        "kotaemon.cited": True,
        "a": 0.5,
        "error.type": "unavailable",
    }
    assert collector.headers["authorization"] == "Bearer token"
    assert sender.counted == {"exported": 2}


@pytest.mark.parametrize("trouble", ["away", "broken", "slow"])
def test_a_collector_in_trouble_costs_spans_and_nothing_else(
    collector: Collector, trouble: str
) -> None:
    url = collector.url
    if trouble == "away":
        url = f"http://127.0.0.1:{free_port()}"
    elif trouble == "broken":
        collector.status = 500
    else:
        collector.delay_s = 60
    sender = Sender(url, timeout_s=0.5, waiting_max=50)

    began_s = time.monotonic()
    sender.end_spans(1_000)
    ended_s = time.monotonic() - began_s
    taken = sender.queue.flush()

    assert not taken
    assert sender.counted == {"failed": 50, "dropped": 950}
    assert ended_s < 10  # a thousand spans, of which each waited for nobody
    assert sender.queue.empty


def test_what_comes_after_trouble_is_sent(collector: Collector) -> None:
    sender = Sender(collector.url)
    collector.status = 500
    sender.end_spans(3)
    sender.queue.flush()
    collector.status = 200
    sender.end_spans(2)

    assert sender.queue.flush()
    assert len(collector.trace(TRACE)) == 2
    assert sender.counted == {"failed": 3, "exported": 2}


def test_many_threads_may_end_spans_while_others_are_sent(collector: Collector) -> None:
    sender = Sender(collector.url, waiting_max=100_000)
    sender.queue.start(ThreadTasks())
    threads = [threading.Thread(target=sender.end_spans, args=(300,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    seen = collector.until(TRACE, lambda spans: len(spans) >= 1_200)
    sender.queue.stop()

    assert len({span.span_id for span in seen}) == 1_200


@dataclass(frozen=True)
class Wanted:
    """What settings say of traces."""

    otel_exporter_otlp_endpoint: str
    otel_headers: Mapping[str, str] = field(default_factory=dict)
    otel_service_name: str = "kotaemon"
    otel_traces_sample_ratio: float = 1.0


def test_a_program_that_ends_sends_what_waits_and_waits_for_no_collector(
    collector: Collector,
) -> None:
    clock, counted = SystemClock(), Counter[str]()
    tracing = Tracing.of(
        Wanted(collector.url),
        instance="worker-7",
        count=lambda outcome, spans: counted.update({outcome: spans}),
        clock=clock,
    )
    tracing.start(ThreadTasks())
    tracing.traces.begin("request", trace_id=TRACE).end()

    tracing.finish(clock)
    assert len(collector.until(TRACE, lambda spans: len(spans) == 1)) == 1

    collector.delay_s = 60
    slow = Tracing.of(Wanted(collector.url), instance="w", count=lambda *_: None, clock=clock)
    slow.start(ThreadTasks())
    slow.traces.begin("request", trace_id=TRACE).end()
    began_s = time.monotonic()
    slow.finish(clock)
    assert time.monotonic() - began_s < 30


def test_who_wants_no_traces_loads_nothing_that_sends_them() -> None:
    # Of the SDK redis-py loads what is about metrics, wherever it is installed.
    heavy = ("opentelemetry.exporter", "opentelemetry.sdk.trace", "opentelemetry.proto", "google.")
    program = (
        "import sys; import kotaemon_node.bootstrap, coordinator.main; "
        f"print([name for name in sys.modules if name.startswith({heavy})])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
