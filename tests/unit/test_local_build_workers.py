"""Build workers of a cluster on one machine: what is asked for, run and shown."""

import http.client
import json

import pytest
from flask import Flask

from coordinator.app import create_app
from coordinator.metrics import CoordinatorMetrics
from coordinator.status import Status, StatusBoard
from coordinator.workers.health import serve_beside
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.local import config, preflight, probes, table
from kotaemon_node.local.cluster import Cluster
from kotaemon_node.local.errors import LocalError


def cluster(build_workers: int) -> Cluster:
    return Cluster(
        cluster_id="abcd1234",
        folder="",
        first_port=21_000,
        port=8080,
        host="127.0.0.1",
        workers=2,
        redis_url="",
        own_kafka=True,
        build_workers=build_workers,
    )


def test_each_is_a_supervised_process_with_a_port_of_its_own() -> None:
    found = {it.name: it for it in config.programs(cluster(2)) if "build" in it.name}
    assert sorted(found) == ["build-worker-0", "build-worker-1"]
    ports = {it.environment["COORDINATOR_PORT"] for it in found.values()}
    assert len(ports) == 2
    assert {it.environment["COORDINATOR_ROLE"] for it in found.values()} == {"build-worker"}
    assert ports == {str(probes.port_of(cluster(2), name)) for name in found}
    assert "build-worker" not in config.supervisord_config(cluster(0))


def test_they_have_a_row_and_a_role() -> None:
    names = table.names(cluster(2))
    builders = [name for name in names if table.role_of(name) == "build-worker"]
    assert builders == ["build-worker-0", "build-worker-1"]
    assert [name for name in names if table.role_of(name) == "worker"] == ["worker-0", "worker-1"]
    assert names.index("kafka") < names.index("build-worker-0")


@pytest.mark.parametrize(("wished", "kafka"), [(1, False), (9, True), (-1, True)])
def test_what_cannot_be_run_is_refused(wished: int, kafka: bool) -> None:
    with pytest.raises(LocalError):
        preflight.check_build_workers(wished, kafka=kafka)
    preflight.check_build_workers(0, kafka=False)
    preflight.check_build_workers(8, kafka=True)


# Every address of IPv4 and IPv6, as in pods that have IPv6 alone.
@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
def test_its_health_is_served_beside_its_work(host: str) -> None:
    board = StatusBoard()
    board.beat_s = SystemClock().monotonic_s()
    board.current = Status(role="build-worker", problem=None)
    app: Flask = create_app(board=board, metrics=CoordinatorMetrics(), clock=SystemClock())
    port = serve_beside(app, host=host, port=0)
    for path in ("/healthz", "/readyz", "/metrics"):
        connection = http.client.HTTPConnection(host, port, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        body = answer.read()
        connection.close()
        if path == "/readyz":
            assert json.loads(body)["role"] == "build-worker"
