"""A cluster's traces: one for a turn, through HAProxy, a pod that dies and one that goes on."""

import json
import re
from collections.abc import Iterator

import pytest
import requests

from tests.cluster import Cluster
from tests.fakes.collector import Collector, SeenSpan
from tests.turn_cluster import QUESTION, Reader, TurnCluster, turn_cluster

CLIENT = "5bd9f1a2c3e4b607"
TURN = "invoke_agent kotaemon"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[TurnCluster]:
    data = tmp_path_factory.mktemp("traced") / "data"
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with turn_cluster(data, workers=2, settings=settings) as running:
        yield running


def one(spans: list[SeenSpan], name: str) -> SeenSpan:
    (found,) = [span for span in spans if span.name == name]
    return found


def logged(cluster: Cluster, name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in cluster.log(name).splitlines() if line.startswith("{")]


@pytest.mark.long  # a cluster of its own; without processes: test_engine_traces.py
def test_one_trace_has_the_balancer_the_pod_that_died_and_the_one_that_went_on(
    running: TurnCluster, collector: Collector
) -> None:
    running.pace(token_ms=60)
    with Reader(running.reader()) as client:
        running.cluster.wait_until(lambda: client.texts() >= 5, what="the answer has begun")
        trace_id = client.reading.frames("text")[0]["trace_id"]
        victim = running.owner(client.reading)
        # What the pod has ended by now is at the collector; it will not get to send any more.
        collector.until(trace_id, lambda spans: "group_commit" in {one.name for one in spans})
        running.cluster.kill(victim)
        reading = client.finish()
    running.assert_whole(reading)
    spans = collector.until(trace_id, lambda spans: TURN in {span.name for span in spans})

    assert re.fullmatch("[0-9a-f]{32}", trace_id)
    assert {frame["trace_id"] for frame in reading.numbered()} == {trace_id}
    assert running.turn(reading)["trace_id"] == trace_id
    turn, balance, takeover = one(spans, TURN), one(spans, "balance"), one(spans, "takeover")
    heir = turn.instance
    assert {span.service for span in spans} == {"haproxy", "kotaemon"}
    assert {span.instance for span in spans if span.service == "kotaemon"} == {victim, heir}
    assert heir != victim
    assert balance.parent_id == ""
    assert turn.parent_id == balance.span_id
    assert turn.facts["kotaemon.turn.attempts"] == 2
    assert str(takeover.facts["kotaemon.owner.before"]).partition(".")[0] == victim
    # The dead pod's own parts hang in the same tree: only what it was in the middle of is lost.
    (searched,) = [span for span in spans if span.name.startswith("retrieval ")]
    assert (searched.instance, searched.parent_id) == (victim, turn.span_id)
    legs = {span.name for span in spans if span.parent_id == searched.span_id}
    assert {"lexical", "dense", "fuse"} <= legs
    assert one(spans, "chat default").instance == one(spans, "commit").instance == heir
    known = {span.span_id for span in spans}
    lost = [span.name for span in spans if span.parent_id and span.parent_id not in known]
    assert lost == ["claim"]  # of the request that ended with the pod
    assert str(spans).count(QUESTION) == str(spans).count(reading.session_id) == 0

    rows = {name: logged(running.cluster, name) for name in (victim, heir)}
    taken = [row for row in rows[heir] if row["event"] == "turn_taken_over"]
    assert [(row["trace_id"], row["span_id"]) for row in taken] == [(trace_id, turn.span_id)]
    begun = [row for row in rows[victim] if row.get("trace_id") == trace_id]
    assert [row["event"] for row in begun] == ["request"]
    own = [row for row in rows[heir] if reading.turn_id in str(row)]
    assert {row.get("trace_id") for row in own} == {trace_id}
    assert reading.session_id not in str(rows)


@pytest.mark.long
def test_a_clients_trace_goes_on_through_the_cluster(
    running: TurnCluster, collector: Collector
) -> None:
    running.pace()
    running.cluster.wait_ready()
    trace_id = "c1" * 16

    answer = requests.post(
        f"{running.url}/chat",
        json={"message": QUESTION},
        headers={"traceparent": f"00-{trace_id}-{CLIENT}-01", "X-Balancer-Start": "17"},
        timeout=60,
    )

    assert answer.headers["X-Trace-ID"] == answer.json()["trace_id"] == trace_id
    names = {"POST /chat", TURN}
    spans = collector.until(trace_id, lambda spans: names <= {span.name for span in spans})
    balance, request = one(spans, "balance"), one(spans, "POST /chat")
    assert (balance.service, balance.parent_id) == ("haproxy", CLIENT)
    assert balance.begun_ns <= balance.ended_ns <= request.ended_ns
    assert request.parent_id == one(spans, TURN).parent_id == balance.span_id
    assert {span.instance for span in spans} - {""} == {answer.headers["X-Served-By"]}
    asked = running.model.behaviour.traceparents[-1]
    assert asked == f"00-{trace_id}-{one(spans, 'chat default').span_id}-01"


@pytest.mark.long
def test_a_collector_that_is_away_or_slow_costs_no_turn_anything(
    running: TurnCluster, collector: Collector
) -> None:
    running.pace()
    running.cluster.wait_ready()

    for status, delay_s in ((500, 0.0), (200, 600.0)):
        collector.status, collector.delay_s = status, delay_s
        for _ in range(5):
            running.assert_whole(running.reader().read())
    lost = 'kotaemon_spans_total{outcome="failed"}'
    running.cluster.wait_until(
        lambda: all(running.metric(worker, lost) > 0 for worker in running.workers()),
        what="the spans that were lost are counted",
    )
