"""Redis stops: questions and search go on through the balancer, turns wait for its return."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.cluster import Cluster

pytestmark = pytest.mark.long

QUESTION = "How long does standard delivery to Singapore take?"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "data", workers=2) as cluster:
        yield cluster


def asked(cluster: Cluster) -> requests.Response:
    return requests.get(f"{cluster.url}/ask", params={"q": QUESTION}, timeout=60)


def search(cluster: Cluster) -> requests.Response:
    return requests.get(f"{cluster.url}/v1/search", params={"q": QUESTION}, timeout=60)


def chat(cluster: Cluster) -> requests.Response:
    return requests.post(f"{cluster.url}/chat", json={"message": QUESTION}, timeout=60)


def test_questions_go_on_while_the_store_is_away(running: Cluster) -> None:
    before = asked(running)
    assert (before.status_code, before.json()["degraded"]) == (200, None)

    stopped = running.command("stop", "redis")
    assert stopped.returncode == 0, stopped.stderr

    def goes_on() -> bool:
        answer = asked(running)
        return answer.status_code == 200 and bool(answer.json()["degraded"])

    running.wait_until(goes_on, what="a question is answered without the store")
    # Long enough that pods would have left, were a store that all have lost a reason to
    for _ in range(12):
        answer = asked(running)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["degraded"] == "session_store_unavailable"
        assert told["answer"] == before.json()["answer"]
        assert told["source"]
        assert search(running).status_code == 200
        refused = chat(running)
        assert refused.status_code == 503, refused.text
        assert refused.json()["error"]["code"] == "store_unavailable"
    assert running.in_use() == {"worker-0", "worker-1"}

    started = running.command("start", "redis")
    assert started.returncode == 0, started.stderr
    running.wait_until(
        lambda: asked(running).json().get("degraded", "") is None, what="turns are taken again"
    )
    assert chat(running).status_code == 200
