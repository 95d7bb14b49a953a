"""A conversation rests in the archive, and any pod continues it; on a whole cluster."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cluster import Cluster

REST_S = 2
QUESTION = "How long does standard delivery to Singapore take?"


@pytest.fixture
def resting(tmp_path: Path) -> Iterator[Cluster]:
    settings = {"ARCHIVE_AFTER_S": str(REST_S)}
    with Cluster(tmp_path / "data", workers=2, environment=settings) as running:
        yield running


def ask(base: str, turn_id: str) -> Any:
    body = {"message": f"{QUESTION} ({turn_id})", "turn_id": turn_id}
    answer = requests.post(f"{base}/v1/sessions/s1/turns", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def rows(base: str) -> dict[str, Any]:
    answer = requests.get(f"{base}/v1/sessions", timeout=30)
    assert answer.status_code == 200, answer.text
    return {row["session_id"]: row for row in answer.json()["sessions"]}


def copies(cluster: Cluster) -> list[str]:
    # Folders that are emptied are removed meanwhile, which this way of walking forgives.
    found = [name for _, _, names in os.walk(cluster.folder.path) for name in names]
    return [name for name in found if name.endswith(".json.z")]


def test_any_pod_continues_a_conversation_that_rested(resting: Cluster) -> None:
    first, second = (resting.pod_url(name) for name in ("worker-0", "worker-1"))
    told = [ask(resting.url, "t0"), ask(resting.url, "t1")]

    def archived() -> bool:
        return bool(rows(resting.url)["s1"]["archived"])

    resting.wait_until(archived, what="the session is archived")
    assert len(copies(resting)) == 1
    # The same turn is not executed again, and a new one knows the history.
    again = ask(first, "t0")
    assert (again["answer"], again["version"]) == (told[0]["answer"], 1)
    told.append(ask(second, "t2"))
    session = requests.get(f"{first}/v1/sessions/s1", timeout=30).json()
    assert [turn["turn_id"] for turn in session["turns"]] == ["t0", "t1", "t2"]
    assert [turn["answer"] for turn in session["turns"]] == [turn["answer"] for turn in told]

    resting.wait_until(archived, what="the session is archived")
    gone = requests.delete(f"{resting.url}/v1/sessions/s1", timeout=30)
    assert gone.status_code == 204, gone.text
    for base in (first, second):
        assert requests.get(f"{base}/v1/sessions/s1", timeout=30).status_code == 404
    assert rows(resting.url) == {}
    resting.wait_until(lambda: copies(resting) == [], what="the copies are removed")
