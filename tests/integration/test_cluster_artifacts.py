"""Pods that have no folder in common with the coordinator: they read its artifacts over HTTP."""

from pathlib import Path

import pytest
import requests

from kotaemon_node.local import cluster as clusters
from kotaemon_node.local.folder import DataFolder
from tests.cluster import Cluster

QUESTION = "How much does the Borealis teapot cost?"
TOKEN = "the word of this test"


def settled(data: Path, knowledge: Path) -> Cluster:
    """Return a cluster whose pods are given the address that its coordinator will have."""
    folder = DataFolder(data)
    folder.prepare()
    kept = clusters.settle(folder, port=0, host="127.0.0.1", workers=2, redis_url="")
    clusters.save(folder, kept)
    url = f"http://127.0.0.1:{kept.coordinator_port}/artifacts"
    environment = {"ARTIFACT_URL": url, "ARTIFACT_TOKEN": TOKEN}
    return Cluster(data, workers=2, knowledge=knowledge, environment=environment)


def says(cluster: Cluster, words: str) -> bool:
    """Tell whether every pod answers with these words."""
    for port in cluster.worker_ports():
        reply = requests.get(f"http://127.0.0.1:{port}/ask", params={"q": QUESTION}, timeout=60)
        if reply.status_code != 200 or words not in reply.json()["answer"]:
            return False
    return True


@pytest.mark.long  # tests/contract/test_knowledge_elsewhere.py shows the same of one pod
def test_pods_read_over_http_and_outlive_the_coordinator(tmp_path: Path) -> None:
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    pot = knowledge / "teapots.md"
    pot.write_text("# Teapots\n\nThe Borealis teapot costs 49 dollars.\n", encoding="utf-8")
    with settled(tmp_path / "data", knowledge) as cluster:
        # A changed document is served by all pods, out of copies of their own
        assert says(cluster, "49 dollars")
        pot.write_text("# Teapots\n\nThe Borealis teapot costs 55 dollars.\n", encoding="utf-8")
        cluster.wait_until(lambda: says(cluster, "55 dollars"), what="all pods say 55")
        assert list((tmp_path / "data" / "artifact-cache").rglob("*.faiss"))
        # Strangers are told nothing, and nobody writes
        url = f"{cluster.pod_url('coordinator')}/artifacts"
        assert requests.get(url, timeout=10).status_code == 401
        assert requests.put(f"{url}/x", timeout=10).status_code == 405

        # Without the coordinator pods go on, and one that starts anew has its copies
        cluster.command("stop", "coordinator")
        assert says(cluster, "55 dollars")
        killed = cluster.kill("worker-1")
        cluster.wait_until(
            lambda: cluster.row("worker-1")["pid"] not in {killed, None} and says_ready(cluster),
            what="worker-1 is back without the coordinator",
        )
        assert says(cluster, "55 dollars")
        assert "artifact_from_cache" in cluster.log("worker-1")

        # Back again, it is read from: what changed meanwhile arrives
        pot.write_text("# Teapots\n\nThe Borealis teapot costs 61 dollars.\n", encoding="utf-8")
        cluster.command("start", "coordinator")
        cluster.wait_until(lambda: says(cluster, "61 dollars"), what="all pods say 61")


@pytest.mark.long  # tests/unit/test_upload_rooms.py and test_coordinator_uploads.py show the parts
def test_an_upload_goes_through_a_pod_and_outlives_the_coordinator(tmp_path: Path) -> None:
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    (knowledge / "cups.md").write_text("The Aurora cup costs 18 dollars.\n")
    with settled(tmp_path / "data", knowledge) as cluster:
        documents = f"{cluster.url}/v1/knowledge/default/documents"
        pot = ("teapots.md", b"The Borealis teapot costs 49 dollars.\n")
        first = requests.post(documents, files={"file": pot}, timeout=60)
        assert first.status_code == 202, first.text
        cluster.wait_until(lambda: says(cluster, "49 dollars"), what="all pods say 49")
        job = f"{cluster.url}/v1/jobs/{first.json()['job']}"
        cluster.wait_until(
            lambda: requests.get(job, timeout=60).json()["state"] == "done", what="its job ends"
        )
        # Without the coordinator there is nowhere to keep it; nothing is taken and lost
        cluster.command("stop", "coordinator")
        refused = requests.post(documents, files={"file": pot}, timeout=60)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        cluster.command("start", "coordinator")
        pot = ("teapots.md", b"The Borealis teapot costs 55 dollars.\n")
        cluster.wait_until(
            lambda: requests.post(documents, files={"file": pot}, timeout=60).status_code == 202,
            what="uploads are taken again",
        )
        cluster.kill("coordinator")
        cluster.wait_until(lambda: says(cluster, "55 dollars"), what="all pods say 55")
        # The same bytes were sent until one was taken; each waits no longer in the store
        kept = tmp_path / "data"
        cluster.wait_until(
            lambda: not [it for it in kept.rglob("uploads/**/*") if it.is_file()],
            what="no upload is left in the store",
        )


def says_ready(cluster: Cluster) -> bool:
    return bool(cluster.row("worker-1")["ready"])


@pytest.mark.long
def test_a_pod_without_copies_waits_for_the_coordinator(tmp_path: Path) -> None:
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    (knowledge / "teapots.md").write_text("The Borealis teapot costs 49 dollars.\n")
    with settled(tmp_path / "data", knowledge) as cluster:
        assert says(cluster, "49 dollars")
        cluster.command("stop", "coordinator")
        for copy in (tmp_path / "data" / "artifact-cache").rglob("*"):
            if copy.is_file():
                copy.unlink()
        killed = cluster.kill("worker-1")
        cluster.wait_until(
            lambda: (
                "cannot be fetched" in cluster.log("worker-1")
                or "does not answer" in cluster.log("worker-1")
            ),
            what="worker-1 says what it lacks",
        )
        assert not says_ready(cluster)
        cluster.command("start", "coordinator")
        cluster.wait_until(lambda: says_ready(cluster), what="worker-1 is back")
        assert cluster.pid("worker-1") != killed
        assert says(cluster, "49 dollars")
