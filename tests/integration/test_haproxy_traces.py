"""What HAProxy tells of a request to pods, for their traces, and to its own log."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.balanced_pods import BalancedPods, wait_until

VICTIM = "worker-1"
TURN = {"message": "a word of mine"}


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BalancedPods]:
    with BalancedPods(tmp_path_factory.mktemp("pods"), count=3) as pods:
        yield pods


def test_a_pod_is_told_when_the_balancer_took_the_request(pods: BalancedPods) -> None:
    before_us = time.time() * 1_000_000

    seen = requests.post(
        f"{pods.url}/v1/sessions/s/turns",
        json=TURN,
        headers={"X-Balancer-Start": "17"},
        timeout=60,
    ).json()

    (start_us,) = seen["balancer_start"]  # the client's own is gone
    assert before_us - 1 <= int(start_us) <= time.time() * 1_000_000
    (default,) = seen["turn_default"]
    assert re.fullmatch("[0-9a-f]{32}", default)  # as a trace id is


def test_a_request_that_was_tried_again_leaves_a_line_with_its_trace(pods: BalancedPods) -> None:
    sid = pods.session_on(VICTIM)

    answer = requests.post(
        f"{pods.url}/v1/sessions/{sid}/turns", json=TURN, headers={"X-Refuse": VICTIM}, timeout=60
    )

    tries = [
        seen
        for name in ("worker-0", "worker-1", "worker-2")
        for seen in pods.seen_by(name)
        if seen["turn_default"] == answer.json()["turn_default"]
    ]
    assert len(tries) == 2
    # The second try began when the first did: its span covers both.
    assert tries[0]["balancer_start"] == tries[1]["balancer_start"]
    (trace_id,) = answer.json()["turn_default"]
    log: Path = pods.folder.log("haproxy")
    wait_until(lambda: trace_id in log.read_text(), what="HAProxy logged the request")
    (line,) = [row for row in log.read_text().splitlines() if trace_id in row]
    told = json.loads(line)
    assert told["trace_id"] == trace_id
    assert told["tries_more"] in ("1", "+1")
    assert told["status"] == 200
    assert told["server"] == answer.headers["X-Served-By"]
    assert sid not in line.replace(trace_id, "")
    assert "word of mine" not in line
