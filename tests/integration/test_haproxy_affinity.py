"""A session is found wherever its id stands, and stays on its pod."""

from collections import Counter
from collections.abc import Callable, Iterator
from operator import eq
from pathlib import Path

import pytest
import requests

from kotaemon_node.local.haproxy import SESSION_COOKIE
from tests.balanced_pods import BalancedPods

Carrier = Callable[[str, str], requests.Response]


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BalancedPods]:
    with BalancedPods(tmp_path_factory.mktemp("pods"), count=3) as pods:
        yield pods


CARRIERS: dict[str, Carrier] = {
    "path": lambda url, sid: requests.get(f"{url}/v1/sessions/{sid}/turns/t/stream2", timeout=5),
    "header": lambda url, sid: requests.get(
        f"{url}/ask?q=x", headers={"X-Session-ID": sid}, timeout=5
    ),
    "query": lambda url, sid: requests.get(f"{url}/ask?q=x&session_id={sid}", timeout=5),
    "cookie": lambda url, sid: requests.get(
        f"{url}/ask?q=x", cookies={SESSION_COOKIE: sid}, timeout=5
    ),
    "body": lambda url, sid: requests.post(
        f"{url}/chat", json={"message": "hi", "session_id": sid}, timeout=5
    ),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_session_reaches_its_pod_by_each_way_of_naming_it(
    pods: BalancedPods, carrier: str
) -> None:
    sessions = [f"conversation-{number}" for number in range(12)]
    homes = [pods.pod_of(session_id) for session_id in sessions]

    served_by = [
        CARRIERS[carrier](pods.url, session_id).headers["X-Served-By"] for session_id in sessions
    ]

    # A late check of a busy pod moves some sessions for a moment; chance alone would find four.
    assert sum(map(eq, served_by, homes)) >= 10, (served_by, homes)


def test_the_path_goes_before_header_query_and_cookie(pods: BalancedPods) -> None:
    session_id, other = pods.session_on("worker-0"), pods.session_on("worker-1")

    served_by = Counter(
        requests.get(
            f"{pods.url}/v1/sessions/{session_id}?session_id={other}",
            headers={"X-Session-ID": other},
            cookies={SESSION_COOKIE: other},
            timeout=5,
        ).headers["X-Served-By"]
        for _ in range(9)
    )

    assert served_by.most_common(1)[0][0] == "worker-0"


def test_questions_without_a_session_are_spread(pods: BalancedPods) -> None:
    served = Counter(
        requests.get(f"{pods.url}/ask?q=x", timeout=5).headers["X-Served-By"] for _ in range(60)
    )

    assert set(served) == {"worker-0", "worker-1", "worker-2"}


def test_a_fourth_pod_takes_over_no_more_than_its_share(tmp_path: Path) -> None:
    sessions = [f"user-{number}" for number in range(400)]
    with BalancedPods(tmp_path, count=4) as pods:
        pods.kill("worker-3")
        pods.wait_used("worker-0", "worker-1", "worker-2")
        before = places(pods, sessions)

        pods.start("worker-3")
        pods.wait_used("worker-0", "worker-1", "worker-2", "worker-3")
        after = places(pods, sessions)

    moved = [sid for sid in sessions if before[sid] != after[sid]]
    assert len(moved) <= 0.30 * len(sessions)
    # Consistent: whoever moved, moved to the new pod.
    assert {after[sid] for sid in moved} == {"worker-3"}


def places(pods: BalancedPods, sessions: list[str]) -> dict[str, str]:
    """Return each session's pod, twice the same: a late check of a busy pod moves some at times."""
    last: dict[str, str] = {}
    while (now := {sid: pods.pod_of(sid) for sid in sessions}) != last:
        last = now
    return now


def test_the_turn_id_for_clients_without_one_is_the_balancers_own(pods: BalancedPods) -> None:
    response = requests.post(
        f"{pods.url}/v1/sessions/s/turns",
        json={"message": "hi"},
        headers={"X-Turn-Default": "chosen-by-the-client", "X-Forwarded-For": "203.0.113.9"},
        timeout=5,
    )

    seen = response.json()
    assert len(seen["turn_default"]) == 1
    assert seen["turn_default"] != ["chosen-by-the-client"]
    assert seen["forwarded_for"] == ["127.0.0.1"]


def test_the_pods_own_check_is_not_shown_to_the_world(pods: BalancedPods) -> None:
    own = requests.get(f"{pods.url}/balancer/{pods.cluster.cluster_id}", timeout=5)
    other = requests.get(f"{pods.url}/balancer/another", timeout=5)

    assert (own.status_code, own.text) == (200, "3")
    assert other.status_code == 404
    assert "X-Served-By" not in other.headers


CHAT = "/v1/chat/completions"


def test_the_same_chat_again_goes_to_the_same_pod_and_others_elsewhere(pods: BalancedPods) -> None:
    def served(number: int, **headers: str) -> str:
        body = {"messages": [{"role": "user", "content": f"question {number}"}]}
        sent = requests.post(f"{pods.url}{CHAT}", json=body, headers=headers, timeout=5)
        return sent.headers["X-Served-By"]

    first, again = ([served(number) for number in range(12)] for _ in range(2))
    # A late check of a busy pod moves some for a moment; chance alone would find four.
    assert sum(map(eq, first, again)) >= 10
    assert len(set(first)) == 3
    keyed = Counter(served(number, **{"Idempotency-Key": "one"}) for number in range(12))
    assert keyed.most_common(1)[0][1] >= 10


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
def test_a_pod_that_dies_of_such_a_request_costs_its_client_nothing(
    pods: BalancedPods, path: str
) -> None:
    victim = requests.post(f"{pods.url}{path}", json={"input": "x"}, timeout=5)
    name = victim.headers["X-Served-By"]

    answer = requests.post(
        f"{pods.url}{path}", json={"input": "x"}, headers={"X-Die": name}, timeout=30
    )
    pods.start(name)
    pods.wait_used("worker-0", "worker-1", "worker-2")

    assert answer.status_code == 200
    if path == CHAT:
        assert answer.headers["X-Served-By"] != name
