"""Gate, rollback, delete and purge on the running cluster: what users get on every pod."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cluster import Cluster

RETURNS = "# Returns\n\nThe Aurora lamp may be returned within 30 days.\n"
PROBES = """
probes:
- question: How many days do I have to return the Aurora lamp?
  documents: [returns.md]
  phrase: 30 days
"""
MARK = "Zephyrine"
SECRET = f"# Codes\n\nThe {MARK} vault opens with the number 4711.\n"
KB = "/v1/knowledge/default"


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("knowledge")
    for name, text in {
        "returns.md": RETURNS,
        "codes.md": SECRET,
        "spoons.md": "# Spoons\n\nThe Nimbus spoon is made of steel.\n",
        ".probes.yaml": PROBES,
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, knowledge: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("data"), knowledge=knowledge, workers=2) as running:
        yield running


def of_all(cluster: Cluster, path: str, **query: Any) -> list[requests.Response]:
    """Ask every pod at its own port."""

    def ask(port: int) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{port}{path}", params=query, timeout=60)

    ports = cluster.worker_ports()
    with ThreadPoolExecutor(len(ports)) as pool:
        return list(pool.map(ask, ports))


def texts(cluster: Cluster, question: str, *, generation: int) -> list[str]:
    """Return what each pod finds first in this generation or a newer one."""
    found = []
    for answer in of_all(cluster, "/v1/search", q=question, min_generation=generation):
        assert answer.status_code == 200, answer.text
        passages = answer.json()["passages"]
        found.append(passages[0]["text"] if passages else "")
    return found


def shown(cluster: Cluster) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"{cluster.url}{KB}", timeout=30).json()
    return answer


def order(cluster: Cluster, method: str, path: str, **body: Any) -> dict[str, Any]:
    """Give an order, wait until its job has ended, and return that."""
    given = requests.request(method, f"{cluster.url}{path}", json=body or None, timeout=30)
    assert given.status_code == 202, given.text
    return ended(cluster, given.headers["Location"])


def ended(cluster: Cluster, location: str) -> dict[str, Any]:
    job: dict[str, Any] = {}

    def over() -> bool:
        job.update(requests.get(f"{cluster.url}{location}", timeout=30).json())
        return job["state"] in ("done", "failed")

    cluster.wait_until(over, what=f"the end of {location}")
    return job


def test_a_worse_build_stays_out_with_its_reason_while_all_pods_serve_the_old(
    cluster: Cluster, knowledge: Path
) -> None:
    before = shown(cluster)
    assert (before["generation"], before["recall"], before["held"]) == (1, 1.0, None)
    (knowledge / "returns.md").write_text("# Returns\n\nTo be written.\n", encoding="utf-8")
    cluster.wait_until(lambda: shown(cluster)["held"] is not None, what="the gate holds it")

    held = shown(cluster)["held"]
    assert "falls from 1.000 to 0.000" in held["reason"]
    assert held["lost"][0]["documents"] == ["returns.md"]
    for answer in of_all(cluster, "/v1/search", q="return the Aurora lamp"):
        assert answer.json()["generation"] == 1
        assert "30 days" in answer.json()["passages"][0]["text"]
    coordinator = cluster.pod_url("coordinator")
    told = requests.get(f"{coordinator}/readyz", timeout=30).json()["knowledge"]["default"]
    assert told["held"]["reason"] == held["reason"]
    counted = requests.get(f"{coordinator}/metrics", timeout=30).text
    assert 'kotaemon_generations_held_total{kb="default"}' in counted
    assert 'kotaemon_probe_recall{generation="held",kb="default"} 0.0' in counted


def test_an_operator_publishes_it_all_the_same(cluster: Cluster) -> None:
    refused = order(cluster, "POST", f"{KB}/publish")
    assert refused["state"] == "failed"
    assert "the gate holds it" in refused["reason"]
    done = order(cluster, "POST", f"{KB}/publish", force=True)
    assert done["result"] == {"generation": 2}
    assert not any("30 days" in text for text in texts(cluster, "Aurora lamp", generation=2))


def test_a_rollback_is_one_call_seen_on_all_pods_and_it_lasts(
    cluster: Cluster, knowledge: Path
) -> None:
    done = order(cluster, "POST", f"{KB}/rollback", generation=1, job="go-back")
    assert done["result"] == {"generation": 3}
    assert all("30 days" in text for text in texts(cluster, "Aurora lamp", generation=3))
    now = shown(cluster)
    assert (now["rolled_back_to"], now["refused"]) == (1, ["returns.md"])

    # The same call again is the same job; the next change of another file keeps what was refused.
    assert order(cluster, "POST", f"{KB}/rollback", generation=1, job="go-back") == done
    (knowledge / "forks.md").write_text("# Forks\n\nThe Cirrus fork is silver.\n", "utf-8")
    assert all("silver" in text for text in texts_when(cluster, "Cirrus fork", generation=4))
    assert all("30 days" in text for text in texts(cluster, "Aurora lamp", generation=4))
    rows = requests.get(f"{cluster.url}{KB}/generations", timeout=30).json()["generations"]
    assert [row["generation"] for row in rows] == [4, 3, 2, 1]
    assert all(row["complete"] for row in rows)
    refused = requests.post(f"{cluster.url}{KB}/rollback", json={"generation": 4}, timeout=30)
    assert refused.status_code == 409
    assert "possible: 3, 2, 1" in refused.json()["error"]["message"]


def texts_when(cluster: Cluster, question: str, *, generation: int) -> list[str]:
    cluster.wait_until(
        lambda: all(answer.json()["generation"] >= generation for answer in of_all(cluster, KB)),
        what=f"generation {generation} on all pods",
    )
    return texts(cluster, question, generation=generation)


def test_an_order_outlives_the_coordinator_that_was_to_carry_it_out(
    cluster: Cluster, knowledge: Path
) -> None:
    cluster.kill("coordinator")
    given = requests.delete(f"{cluster.url}{KB}/documents/spoons.md", timeout=30)
    assert (given.status_code, given.json()["state"]) == (202, "queued")
    done = ended(cluster, given.headers["Location"])
    assert done["state"] == "done", done
    assert not (knowledge / "spoons.md").exists()
    found = texts(cluster, "Nimbus spoon", generation=done["result"]["generation"])
    assert not any("Nimbus" in text for text in found)


def test_a_purge_leaves_no_byte_and_withdraws_citations(cluster: Cluster, knowledge: Path) -> None:
    asked = f"With which number does the {MARK} vault open?"
    answers = of_all(cluster, "/ask", q=asked)
    sources = [answer.json()["source"][0]["url"] for answer in answers]
    assert [of_one.status_code for of_one in of_all(cluster, sources[0])] == [200, 200]
    store = cluster.folder.artifacts
    assert marked(store)

    done = order(cluster, "DELETE", f"{KB}/documents/codes.md?purge=true")
    assert done["state"] == "done", done

    assert marked(store) == []
    assert not (knowledge / "codes.md").exists()
    assert not any(
        MARK in text for text in texts(cluster, asked, generation=done["result"]["generation"])
    )
    for answer in of_all(cluster, sources[0]):
        assert (answer.status_code, answer.json()["error"]["code"]) == (410, "withdrawn")
    assert all(MARK not in answer.json()["answer"] for answer in of_all(cluster, "/ask", q=asked))
    assert all("30 days" in text for text in texts(cluster, "Aurora lamp", generation=1))


def marked(store: Path) -> list[Path]:
    """Return the files of the artifact store that hold the mark in whatever case."""
    files = [path for path in store.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if MARK.lower().encode() in path.read_bytes().lower()]
