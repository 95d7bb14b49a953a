"""A HAProxy that starts again sends no request to an empty slot, not even the very first one."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.balanced_pods import BalancedPods, wait_until

ROUNDS = 10
SESSIONS = [f"s{number}" for number in range(40)]


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[BalancedPods]:
    with BalancedPods(tmp_path, count=2) as pods:
        yield pods


def _wait_open(url: str) -> None:
    parts = urlsplit(url)

    def is_open() -> bool:
        try:
            socket.create_connection((parts.hostname, parts.port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True

    wait_until(is_open, what="HAProxy's port answers")


def test_the_first_requests_after_a_restart_meet_no_empty_slot(pods: BalancedPods) -> None:
    for _ in range(ROUNDS):
        pods.start_balancer(expected=2)
        _wait_open(pods.url)

        served_by = {pods.pod_of(session_id) for session_id in SESSIONS}
        pods.wait_used("worker-0", "worker-1")

        assert served_by == {"worker-0", "worker-1"}
        # It logs a request only when that failed or was tried again.
        assert " HTTP/1.1" not in pods.folder.log("haproxy").read_text()


def test_a_pod_that_was_not_expected_is_used_after_its_first_good_check(
    pods: BalancedPods,
) -> None:
    pods.start("worker-2")
    pods.wait_used("worker-0", "worker-1", "worker-2")
    not_expected = [pods.pod_of(session_id) for session_id in SESSIONS]

    pods.start_balancer(expected=3)
    pods.wait_used("worker-0", "worker-1", "worker-2")
    expected = [pods.pod_of(session_id) for session_id in SESSIONS]

    assert set(expected) == {"worker-0", "worker-1", "worker-2"}
    assert not_expected == expected


def test_a_pod_that_was_expected_and_is_dead_costs_no_client_an_error(pods: BalancedPods) -> None:
    pods.kill("worker-1")
    pods.start_balancer(expected=2)
    _wait_open(pods.url)

    answers = [
        requests.get(f"{pods.url}/v1/sessions/{session_id}", timeout=5) for session_id in SESSIONS
    ]

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["X-Served-By"] for answer in answers} == {"worker-0"}
