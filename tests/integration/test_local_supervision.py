"""Processes of a running cluster: what is killed comes back, what is stopped stays down."""

import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from kotaemon_node.local.supervisor import RUNNING, Supervisor
from tests.cluster import Cluster

ROLES = {"redis", "haproxy", "coordinator", "worker"}
# The promise is "within seconds"; the wait is longer, so that a busy machine is not a failure.
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    # The name holds what breaks badly quoted configuration and is too long for a socket's path.
    data = tmp_path_factory.mktemp("clusters") / ("数据 of $HOME; 100% #1 'q' " + "long" * 30)
    with Cluster(data, workers=2) as running:
        yield running


@pytest.fixture
def cluster(running: Cluster) -> Cluster:
    running.wait_ready()
    return running


def _answers(cluster: Cluster) -> bool:
    return requests.get(f"{cluster.url}/healthz", timeout=10).status_code == 200


def _expected_by_haproxy(cluster: Cluster) -> list[str]:
    """Return the slots to which a HAProxy that starts now sends requests at once."""
    text = cluster.folder.haproxy_config.read_text()
    return re.findall(r"^ +server (\S+) \S+ id \d+$", text, re.M)


def _retried(cluster: Cluster) -> int:
    """Count requests that failed or were tried again: HAProxy logs no others."""
    return cluster.log("haproxy").count(" HTTP/1.1")


def test_every_process_is_listed_with_pid_port_and_readiness(cluster: Cluster) -> None:
    done = cluster.command("ps", "--json")

    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert rows == cluster.ps()
    assert [row["name"] for row in rows] == [
        "redis",
        "haproxy",
        "coordinator",
        "worker-0",
        "worker-1",
    ]
    assert {row["role"] for row in rows} == ROLES
    for row in rows:
        assert set(row) == {"role", "name", "pid", "port", "ready"}
        assert row["ready"] is True
        owners = psutil.Process(row["pid"])
        assert owners.is_running()
    assert cluster.row("haproxy")["port"] == cluster.port


def test_a_workers_pid_is_the_process_that_listens_and_answers(cluster: Cluster) -> None:
    row = cluster.row("worker-0")

    process = psutil.Process(row["pid"])

    listening = {
        connection.laddr.port
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert row["port"] in listening
    assert process.children() == []
    assert process.parent() is not None


@pytest.mark.parametrize("name", ["worker-0", "coordinator", "haproxy", "redis"])
def test_a_killed_process_is_back_and_ready(cluster: Cluster, name: str) -> None:
    before = cluster.kill(name)

    cluster.wait_until(
        lambda: cluster.row(name)["pid"] not in (None, before),
        what=f"{name} runs again",
        timeout_s=PATIENCE_S,
    )
    cluster.wait_ready(timeout_s=PATIENCE_S)

    assert not psutil.pid_exists(before) or not psutil.Process(before).is_running()
    assert _answers(cluster)


@pytest.mark.long
def test_requests_right_after_each_restart_of_haproxy_meet_no_empty_slot(
    cluster: Cluster,
) -> None:
    retried_before = _retried(cluster)
    statuses = []
    for _ in range(8):
        # One that dies in its first second is started again later each time.
        cluster.wait_until(
            lambda: Supervisor(cluster.folder).processes()["haproxy"].state == RUNNING,
            what="HAProxy is no longer young",
        )
        with suppress(psutil.NoSuchProcess):
            psutil.Process(cluster.kill("haproxy")).wait(timeout=10)
        cluster.wait_until(lambda: _is_open(cluster), what="HAProxy's port answers")
        statuses += [
            requests.get(f"{cluster.url}/healthz", timeout=10).status_code for _ in range(20)
        ]
        cluster.wait_ready(timeout_s=PATIENCE_S)

    assert set(statuses) == {200}
    assert _retried(cluster) == retried_before


def _is_open(cluster: Cluster) -> bool:
    try:
        socket.create_connection(("127.0.0.1", cluster.port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_killing_the_serving_process_closes_the_pods_port_at_once(cluster: Cluster) -> None:
    port = cluster.row("worker-1")["port"]
    supervised = psutil.Process(cluster.pid("worker-1")).parent()
    assert supervised is not None

    cluster.kill("worker-1")

    supervised.wait(timeout=5)
    assert cluster.row("worker-1")["port"] == port


def test_a_frozen_worker_is_not_ready_and_serves_again_when_it_thaws(cluster: Cluster) -> None:
    cluster.kill("worker-0", signal.SIGSTOP)
    try:
        assert cluster.row("worker-0")["ready"] is False
        assert _answers(cluster)
    finally:
        cluster.kill("worker-0", signal.SIGCONT)

    cluster.wait_ready(timeout_s=PATIENCE_S)


def test_a_stopped_worker_stays_down_until_it_is_started(cluster: Cluster) -> None:
    stopped = cluster.command("stop", "worker-1")
    row = cluster.row("worker-1")
    expected = _expected_by_haproxy(cluster)
    answered = [_answers(cluster) for _ in range(10)]
    started = cluster.command("start", "worker-1")

    assert stopped.returncode == 0, stopped.stderr
    assert (row["pid"], row["ready"]) == (None, False)
    assert all(answered)
    assert started.returncode == 0, started.stderr
    assert cluster.row("worker-1")["ready"] is True
    assert expected == ["worker-0"]
    assert _expected_by_haproxy(cluster) == ["worker-0", "worker-1"]


@pytest.mark.long
def test_scaling_changes_the_workers_and_leaves_the_others_alone(cluster: Cluster) -> None:
    before = cluster.ps()

    up = cluster.command("scale", "--workers", "3")
    three = cluster.ps()
    down = cluster.command("scale", "--workers", "2")
    two = cluster.ps()

    assert up.returncode == 0, up.stderr
    assert [row["name"] for row in three][-1] == "worker-2"
    assert three[:-1] == before
    assert three[-1]["ready"] is True
    assert down.returncode == 0, down.stderr
    assert two == before


@pytest.mark.long
def test_scaling_fails_no_request_and_the_next_haproxy_knows_the_size(cluster: Cluster) -> None:
    done = threading.Event()
    answers: list[bool] = []

    def ask() -> None:
        while not done.is_set():
            answers.append(_answers(cluster))

    haproxy = cluster.pid("haproxy")
    with ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(ask) for _ in range(2)]
        try:
            expected = []
            for workers in (4, 2):
                scaled = cluster.command("scale", "--workers", str(workers))
                assert scaled.returncode == 0, scaled.stderr
                expected.append(_expected_by_haproxy(cluster))
        finally:
            done.set()
        for client in clients:
            client.result()

    assert len(answers) > 100
    assert all(answers)
    assert cluster.pid("haproxy") == haproxy
    assert expected == [[f"worker-{slot}" for slot in range(workers)] for workers in (4, 2)]


def test_an_unknown_process_is_refused_with_the_names_there_are(cluster: Cluster) -> None:
    done = cluster.command("stop", "worker-7")

    assert done.returncode == 2
    assert "worker-0, worker-1" in done.stderr


def test_a_second_cluster_in_the_same_folder_is_refused(cluster: Cluster) -> None:
    done = cluster.command("up", "--port", str(cluster.port + 1), "--detach")

    assert done.returncode == 2
    assert f"already running in {cluster.folder.path} on {cluster.url}" in done.stderr
    assert _answers(cluster)


@pytest.mark.long
def test_two_clusters_run_side_by_side(cluster: Cluster, tmp_path: Path) -> None:
    with Cluster(tmp_path / "other", workers=1) as other:
        ours, theirs = cluster.ps(), other.ps()

        assert not {row["port"] for row in ours} & {row["port"] for row in theirs}
        assert not {row["pid"] for row in ours} & {row["pid"] for row in theirs}
        assert _answers(other)

    assert _answers(cluster)
    assert all(row["ready"] for row in cluster.ps())


@pytest.mark.long
def test_the_next_up_recovers_from_a_supervisor_that_was_killed(cluster: Cluster) -> None:
    rows = cluster.ps()
    supervisor = int((cluster.folder.run / "supervisord.pid").read_text())

    os.kill(supervisor, signal.SIGKILL)
    said = cluster.command("ps")
    cluster.up()

    assert said.returncode == 2
    assert "was killed" in said.stderr
    assert [row["port"] for row in cluster.ps()] == [row["port"] for row in rows]
    assert not [row for row in rows if psutil.pid_exists(row["pid"])]
    assert _answers(cluster)


@pytest.mark.long
def test_a_restart_keeps_ports_and_state(cluster: Cluster) -> None:
    before = cluster.ps()
    created = requests.post(f"{cluster.url}/v1/sessions", json={}, timeout=10).json()

    cluster.down()
    gone = [row for row in before if psutil.pid_exists(row["pid"])]
    cluster.up()
    read = requests.get(f"{cluster.url}/v1/sessions/{created['session_id']}", timeout=10)

    assert gone == []
    assert [row["port"] for row in cluster.ps()] == [row["port"] for row in before]
    assert read.status_code == 200
    assert read.json()["epoch"] == created["epoch"]
