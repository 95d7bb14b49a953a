"""The log of turns of a whole cluster: each turn once, though who keeps it is killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.cluster import Cluster
from tests.fakes.elasticsearch import FakeElasticsearch

PATIENCE_S, TURNS = 120, 9


@pytest.mark.long
def test_each_turn_is_in_the_file_and_in_elasticsearch_once(tmp_path: Path) -> None:
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    (knowledge / "shipping.md").write_text("# Shipping\n\nShipping takes two days.\n")
    path, server = tmp_path / "log" / "turns.jsonl", FakeElasticsearch()
    with Cluster(
        tmp_path / "data",
        workers=2,
        knowledge=knowledge,
        arguments=["--turn-log", f"file:{path}"],
    ) as running:
        asked: set[str] = set()

        def ask(number: int) -> None:
            body = {"message": f"How long does shipping take? {number}", "turn_id": f"t{number}"}
            answer = requests.post(
                f"{running.url}/v1/sessions/s{number}/turns", json=body, timeout=60
            )
            assert answer.status_code == 200, answer.text
            asked.add(f"t{number}")

        def indexing() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "kotaemon_node.cli.main", "turn-log"),
                    *("--to", f"elasticsearch:{server.url}", "--data", str(tmp_path / "data")),
                    *("--refused", str(tmp_path / "refused.jsonl")),
                ],
                env=running.environment,
            )

        def indexed() -> set[str]:
            return {document["turn_id"] for document in list(server.documents.values())}

        keeper = indexing()
        for number in range(3):
            ask(number)
        running.wait_until(lambda: len(indexed()) >= 1, what="one document", timeout_s=PATIENCE_S)
        running.kill("turn-log")
        keeper.kill()
        keeper.wait(60)
        server.die_behind = 2  # Elasticsearch itself is cut off in the middle of a request
        server.statuses = [503, 429, 503]
        for number in range(3, TURNS):
            ask(number)
        keeper = indexing()

        def kept() -> list[str]:
            lines = path.read_text().splitlines() if path.exists() else []
            return [json.loads(line)["turn_id"] for line in lines]

        running.wait_until(lambda: set(kept()) == asked, what="the file", timeout_s=PATIENCE_S)
        running.wait_until(lambda: indexed() == asked, what="the index", timeout_s=PATIENCE_S)
        keeper.terminate()
        assert keeper.wait(60) == 0
        rows = {row["name"]: row for row in running.ps()}
    server.close()
    assert rows["turn-log"]["ready"]
    assert sorted(kept()) == sorted(asked)
    assert len(server.documents) == TURNS
    assert (tmp_path / "refused.jsonl").read_bytes() == b""
