"""Knowledge on the running cluster: a file dropped, changed or deleted changes every pod."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cluster import Cluster

# Far beyond what it takes, which is printed: a slow machine must not look like a broken chain.
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("knowledge")
    (folder / "cups.md").write_text(
        "# Cups\n\nThe Aurora cup holds 350 millilitres and costs 18 dollars.\n", encoding="utf-8"
    )
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, knowledge: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("data"), knowledge=knowledge) as running:
        yield running


def answers(cluster: Cluster, question: str) -> list[dict[str, Any]]:
    """Ask every pod at its own port."""

    def ask(port: int) -> dict[str, Any]:
        reply = requests.get(f"http://127.0.0.1:{port}/ask", params={"q": question}, timeout=60)
        assert reply.status_code == 200, reply.text
        body: dict[str, Any] = reply.json()
        return body

    ports = cluster.worker_ports()
    with ThreadPoolExecutor(len(ports)) as pool:
        return list(pool.map(ask, ports))


def until(cluster: Cluster, question: str, holds: Callable[[dict[str, Any]], bool]) -> float:
    """Ask all pods until the answer of each of them ``holds``; return the seconds it took."""
    began = time.monotonic()
    while True:
        seen = answers(cluster, question)
        took = time.monotonic() - began
        if all(holds(answer) for answer in seen):
            return took
        assert took < PATIENCE_S, seen
        time.sleep(0.05)


def test_a_file_that_is_dropped_changed_and_deleted(cluster: Cluster, knowledge: Path) -> None:
    question = "How much does the Borealis teapot cost?"
    assert all(answer["source"] == [] for answer in answers(cluster, question))
    pot = knowledge / "teapots.md"

    took = {}
    pot.write_text("# Teapots\n\nThe Borealis teapot costs 49 dollars.\n", encoding="utf-8")
    took["dropped"] = until(cluster, question, lambda a: "49 dollars" in a["answer"])
    pot.write_text("# Teapots\n\nThe Borealis teapot costs 55 dollars.\n", encoding="utf-8")
    took["changed"] = until(cluster, question, lambda a: "55 dollars" in a["answer"])
    pot.unlink()
    took["deleted"] = until(
        cluster, question, lambda a: "55" not in a["answer"] and a["source"] == []
    )

    print({change: round(seconds, 2) for change, seconds in took.items()})
    assert "18 dollars" in answers(cluster, "How much does the Aurora cup cost?")[0]["answer"]


def test_a_citation_opens_the_source_as_it_was(cluster: Cluster, knowledge: Path) -> None:
    question = "What colour is the Cirrus plate?"
    plate = knowledge / "plates.txt"
    plate.write_text("The Cirrus plate is blue.\n", encoding="utf-8")
    until(cluster, question, lambda a: "blue" in a["answer"])
    source = answers(cluster, question)[0]["source"][0]
    plate.write_text("The Cirrus plate is green.\n", encoding="utf-8")
    until(cluster, question, lambda a: "green" in a["answer"])

    for port in cluster.worker_ports():
        page = requests.get(f"http://127.0.0.1:{port}{source['url']}", timeout=30)
        assert page.status_code == 200
        assert "immutable" in page.headers["Cache-Control"]
        body = page.json()
        start, end = body["span"]
        assert "blue" in body["text"][start:end]


def test_a_bad_file_is_refused_with_a_reason_and_disturbs_nothing(
    cluster: Cluster, knowledge: Path
) -> None:
    (knowledge / "empty.md").write_bytes(b"")
    (knowledge / "picture.md").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(200))
    (knowledge / "good.md").write_text("# Spoons\n\nThe Nimbus spoon is steel.\n", "utf-8")
    until(cluster, "What is the Nimbus spoon made of?", lambda a: "steel" in a["answer"])

    def statuses() -> dict[str, tuple[str, str | None]]:
        reply = requests.get(f"{cluster.url}/v1/knowledge/default/documents", timeout=30).json()
        return {row["document"]: (row["status"], row["reason"]) for row in reply["documents"]}

    began = time.monotonic()
    while not {"empty.md", "picture.md"} <= set(statuses()):
        assert time.monotonic() - began < PATIENCE_S, statuses()
        time.sleep(0.05)
    seen = statuses()
    assert seen["good.md"] == ("indexed", None)
    for name in ("empty.md", "picture.md"):
        status, reason = seen[name]
        assert status == "failed"
        assert reason


def test_knowledge_of_another_folder_is_another_knowledge_base(
    cluster: Cluster, knowledge: Path
) -> None:
    (knowledge / "staff").mkdir()
    (knowledge / "staff" / "keys.md").write_text("# Keys\n\nThe cellar key hangs on hook 7.\n")
    question = "Where does the cellar key hang?"
    began = time.monotonic()
    while True:
        found = requests.get(
            f"{cluster.url}/v1/search", params={"q": question, "kb": "staff"}, timeout=30
        )
        if found.status_code == 200 and found.json()["passages"]:
            break
        assert time.monotonic() - began < PATIENCE_S, found.text
        time.sleep(0.05)
    assert "hook 7" in found.json()["passages"][0]["text"]
    assert all(answer["source"] == [] for answer in answers(cluster, question))
