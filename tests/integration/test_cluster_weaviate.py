"""A cluster that searches in a real Weaviate server of somebody else's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cluster import Cluster
from tests.weaviate_server import KEY, WeaviateServer

QUESTION = "what does the Aurora cup cost"


@pytest.fixture
def server() -> Iterator[WeaviateServer]:
    server = WeaviateServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def found(cluster: Cluster, pod: str, question: str = QUESTION) -> list[dict[str, Any]]:
    """Search at one pod; an answer that is no success fails the test."""
    answer = requests.get(
        f"{cluster.pod_url(pod)}/v1/search", params={"q": question, "top_k": 5}, timeout=60.0
    )
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, Any]] = answer.json()["passages"]
    return hits


def counted(cluster: Cluster, pod: str) -> dict[str, float]:
    """Return how many searches of a pod found their neighbours where."""
    name = "kotaemon_neighbour_searches_total"
    text = requests.get(f"{cluster.pod_url(pod)}/metrics", timeout=60.0).text
    rows = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    return {row.split('"')[1]: float(row.rpartition(" ")[2]) for row in rows}


def readiness(url: str) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{url}/readyz", timeout=60.0).json()
    return answer


@pytest.mark.long
def test_searches_use_the_server_and_go_on_without_it(
    server: WeaviateServer, tmp_path: Path
) -> None:
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    for name, price in (("Aurora", 18), ("Borealis", 49), ("Cirrus", 50)):
        text = f"# {name}\n\nThe {name} cup costs {price} dollars.\n"
        (knowledge / f"{name}.md").write_text(text, "utf-8")
    settings = {"VECTOR_STORE": server.setting, "VECTOR_STORE_KEY": KEY}
    with Cluster(
        tmp_path / "data", knowledge=knowledge, workers=2, environment=settings
    ) as cluster:
        before = {pod: found(cluster, pod) for pod in cluster.workers()}
        for pod in cluster.workers():
            assert "18 dollars" in before[pod][0]["text"]
            assert set(counted(cluster, pod)) == {"store"}
            assert readiness(cluster.pod_url(pod))["vector_store"] == ""

        server.kill()
        for pod in cluster.workers():
            assert found(cluster, pod) == before[pod]
            assert counted(cluster, pod)["files"] >= 1
            told = readiness(cluster.pod_url(pod))
            assert told["ready"]
            assert "does not answer" in told["vector_store"]
        (knowledge / "Stratus.md").write_text("# Stratus\n\nIt costs 51 dollars.\n", "utf-8")
        coordinator = cluster.pod_url("coordinator")
        cluster.wait_until(
            lambda: "does not answer" in (readiness(coordinator)["problem"] or ""),
            what="the coordinator says what it waits for",
        )
        assert all("51" not in hit["text"] for hit in found(cluster, "worker-0", "Stratus"))

        server.wipe()
        server.start()
        for pod in cluster.workers():
            cluster.wait_until(
                lambda pod=pod: "51 dollars" in found(cluster, pod, "Stratus costs")[0]["text"],
                what="what was written meanwhile is served",
            )
            stored = counted(cluster, pod)["store"]

            def asks_again(pod: str = pod, stored: float = stored) -> bool:
                found(cluster, pod)
                return counted(cluster, pod)["store"] > stored

            cluster.wait_until(asks_again, what="the server is asked again")
            assert readiness(cluster.pod_url(pod))["vector_store"] == ""
        cluster.wait_until(
            lambda: readiness(coordinator)["problem"] is None, what="the coordinator is content"
        )
