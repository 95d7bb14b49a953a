"""A pod that dies, freezes, refuses or leaves costs no client an error."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from kotaemon_node.local.balancer import pod_states
from tests.balanced_pods import BalancedPods, wait_until

VICTIM = "worker-1"


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[BalancedPods]:
    with BalancedPods(tmp_path, count=3) as pods:
        yield pods


def _turn(pods: BalancedPods, session_id: str, **headers: str) -> requests.Response:
    return requests.post(
        f"{pods.url}/v1/sessions/{session_id}/turns",
        json={"message": "hello"},
        headers=headers,
        timeout=20,
    )


def test_the_first_request_after_a_kill_succeeds_and_so_do_all_later_ones(
    pods: BalancedPods,
) -> None:
    session_id = pods.session_on(VICTIM)
    for _ in range(5):
        with requests.Session() as kept_alive:
            url = f"{pods.url}/v1/sessions/{session_id}"
            assert kept_alive.get(url, timeout=5).status_code == 200
            pods.kill(VICTIM)

            answers = [kept_alive.get(url, timeout=5), _turn(pods, session_id)]
            answers += [_turn(pods, session_id) for _ in range(20)]

        assert {answer.status_code for answer in answers} == {200}
        assert VICTIM not in {answer.headers["X-Served-By"] for answer in answers}
        pods.start(VICTIM)
        pods.wait_used("worker-0", "worker-1", "worker-2")


def test_a_turn_whose_pod_dies_of_it_is_sent_again_with_the_same_default_id(
    pods: BalancedPods,
) -> None:
    session_id = pods.session_on(VICTIM)

    answer = _turn(pods, session_id, **{"X-Die": VICTIM})

    assert answer.status_code == 200
    assert answer.headers["X-Served-By"] != VICTIM
    assert pods.seen_by(VICTIM)[-1]["turn_default"] == answer.json()["turn_default"]


def test_a_turn_that_arrives_in_pieces_is_sent_again_too(pods: BalancedPods) -> None:
    session_id = pods.session_on(VICTIM)
    body = b'{"message": "in two parts"}'
    head = (
        f"POST /v1/sessions/{session_id}/turns HTTP/1.1\r\nHost: x\r\nX-Die: {VICTIM}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", urlsplit(pods.url).port or 0)) as connection:
        connection.sendall(head.encode() + body[:5])
        time.sleep(0.2)  # not a wait for a result: the pause is the case
        connection.sendall(body[5:])
        with connection.makefile("rb") as answer:
            status = answer.readline()

    assert b" 200 " in status
    assert pods.seen_by(VICTIM)[-1]["body_bytes"] == len(body)


def test_the_longest_message_in_chinese_is_sent_again_too(pods: BalancedPods) -> None:
    session_id = pods.session_on(VICTIM)

    answer = requests.post(
        f"{pods.url}/chat",
        data='{{"session_id": "{}", "message": "{}"}}'.format(session_id, "退" * 32_000).encode(),
        headers={"X-Die": VICTIM, "Content-Type": "application/json"},
        timeout=20,
    )

    assert pods.seen_by(VICTIM)[-1]["body_bytes"] > 96_000
    assert answer.status_code == 200


def test_a_pod_that_cannot_serve_hands_the_turn_on(pods: BalancedPods) -> None:
    session_id = pods.session_on(VICTIM)

    answer = _turn(pods, session_id, **{"X-Refuse": VICTIM})

    assert answer.status_code == 200
    assert answer.headers["X-Served-By"] != VICTIM


def test_what_is_not_safe_to_repeat_is_not_repeated(pods: BalancedPods) -> None:
    session_id = pods.session_on(VICTIM)

    # Without a body it arrives whole, so nothing but the rule keeps it from being sent again.
    answer = requests.post(
        f"{pods.url}/v1/sessions/{session_id}/turns/t1/feedback",
        headers={"X-Die": VICTIM},
        timeout=5,
    )

    assert answer.status_code == 502
    error = answer.json()["error"]
    assert (error["code"], error["retryable"]) == ("unavailable", True)
    assert answer.headers["X-Trace-ID"] == error["trace_id"]
    others = [*pods.seen_by("worker-0"), *pods.seen_by("worker-2")]
    assert not [seen for seen in others if seen["path"].endswith("/feedback")]


def test_a_killed_pod_that_came_back_is_used_again(pods: BalancedPods) -> None:
    session_id = pods.session_on(VICTIM)
    pods.kill(VICTIM)
    assert _turn(pods, session_id).headers["X-Served-By"] != VICTIM
    pods.start(VICTIM)

    wait_until(lambda: pods.pod_of(session_id) == VICTIM, what="the session is back")


def test_a_frozen_pods_request_goes_elsewhere_and_its_stream_is_cut(pods: BalancedPods) -> None:
    session_id = pods.session_on(VICTIM)
    cut_after: list[float] = []
    with requests.get(
        f"{pods.url}/v1/sessions/{session_id}/turns/t/stream", stream=True, timeout=30
    ) as stream:
        assert stream.headers["X-Served-By"] == VICTIM
        lines = stream.iter_lines()
        next(lines)
        began = time.monotonic()
        pods.freeze(VICTIM)

        def read_to_the_end() -> None:
            try:
                for _ in lines:
                    pass
            except requests.RequestException:
                pass  # cut in the middle of a stream without a length: that is the point
            cut_after.append(time.monotonic() - began)

        reader = threading.Thread(target=read_to_the_end)
        reader.start()
        answer = _turn(pods, session_id)
        answered_after = time.monotonic() - began
        reader.join(timeout=20)
    pods.thaw(VICTIM)

    assert answer.status_code == 200
    assert answer.headers["X-Served-By"] != VICTIM
    assert answered_after < 3.5
    assert cut_after
    assert cut_after[0] < 3.5


def test_where_most_pods_are_silent_their_streams_are_not_cut_at_once(pods: BalancedPods) -> None:
    frozen = ("worker-1", "worker-2")
    session_ids = [pods.session_on(name) for name in frozen]
    streams = [
        requests.get(f"{pods.url}/v1/sessions/{session_id}/turns/t/stream", stream=True, timeout=30)
        for session_id in session_ids
    ]
    try:
        said = [stream.iter_lines() for stream in streams]
        for lines in said:
            next(lines)
        for name in frozen:
            pods.freeze(name)
        pods.wait_used("worker-0")
        time.sleep(2.0)  # several looks of what would cut them
        for name in frozen:
            pods.thaw(name)

        for lines in said:
            for _ in range(100):  # more than was on its way when the pods froze
                next(lines)
    finally:
        for stream in streams:
            stream.close()


@pytest.mark.long
def test_where_most_pods_are_frozen_for_long_their_streams_are_cut_after_all(
    pods: BalancedPods,
) -> None:
    session_id = pods.session_on(VICTIM)
    with requests.get(
        f"{pods.url}/v1/sessions/{session_id}/turns/t/stream", stream=True, timeout=60
    ) as stream:
        lines = stream.iter_lines()
        next(lines)
        for name in (VICTIM, "worker-2"):
            pods.freeze(name)
        with suppress(requests.RequestException):
            for _ in lines:
                pass
        states = pod_states(pods.folder)
        for name in (VICTIM, "worker-2"):
            pods.thaw(name)

    assert {states[name].status for name in (VICTIM, "worker-2")} == {"DOWN"}


def test_a_leaving_pod_keeps_its_streams_and_gets_nothing_new(pods: BalancedPods) -> None:
    session_id = pods.session_on(VICTIM)
    with requests.get(
        f"{pods.url}/v1/sessions/{session_id}/turns/t/stream", stream=True, timeout=30
    ) as stream:
        assert stream.headers["X-Served-By"] == VICTIM
        lines = stream.iter_lines()
        pods.drain(VICTIM)
        pods.wait_used("worker-0", "worker-2")

        assert pod_states(pods.folder)[VICTIM].status == "NOLB"
        assert pods.pod_of(session_id) != VICTIM
        # Longer than a frozen pod's stream would live.
        until = time.monotonic() + 4.0
        while time.monotonic() < until:
            next(lines)


def test_without_any_pod_the_answer_is_an_error_in_our_form(pods: BalancedPods) -> None:
    for name in ("worker-0", "worker-1", "worker-2"):
        pods.kill(name)
    pods.wait_used()

    answer = requests.get(f"{pods.url}/ask?q=x", timeout=20)

    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Retry-After"] == "1"
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "retryable", "trace_id"}
    assert (error["code"], error["retryable"]) == ("unavailable", True)


def test_an_endless_body_is_refused_before_it_reaches_a_pod(pods: BalancedPods) -> None:
    answer = requests.post(f"{pods.url}/chat", data=b"x" * (11 * 1024 * 1024), timeout=20)

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"
    assert not any(pods.seen_by(f"worker-{slot}") for slot in range(3))
