"""A whole cluster with a master key: no word of a talk lies anywhere, rotation, and shredding."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from redis import Redis

from tests.cluster import Cluster
from tests.fakes.collector import Collector
from tests.fakes.llm_server import FakeLlmServer
from tests.fakes.tool_server import ToolServer
from tests.integration.test_sealed_elsewhere import unpacked
from tests.redis_dump import keys_with, says

ASKED, TOLD = "CANARY-asked-4711", "CANARY-told-0815"
PATIENCE_S = 120.0


def answered(cluster: Cluster, session: str, number: int) -> requests.Response:
    message = f'{ASKED} call:order_status{{"order": "{number}"}}'
    body = {"message": message, "turn_id": f"t{number}"}
    url = f"{cluster.url}/v1/sessions/{session}/turns"
    return requests.post(url, json=body, timeout=90)


def said_by_files(folder: Path, words: tuple[str, ...]) -> list[str]:
    """Return the files below that say one of the words, in the clear or packed."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            parts = list(unpacked(path.read_bytes()))
            if any(says(part, word) for part in parts for word in words):
                found.append(str(path.relative_to(folder)))
    return found


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("knowledge")
    (folder / "shipping.md").write_text("# Shipping\n\nShipping takes two days.\n")
    return folder


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.mark.long  # a cluster of its own
def test_no_word_of_a_talk_lies_anywhere_and_a_shredded_tenant_is_gone(
    tmp_path: Path, knowledge: Path, collector: Collector
) -> None:
    data, backups = tmp_path / "data", tmp_path / "backups"
    log = tmp_path / "log" / "turns.jsonl"
    tools_file = tmp_path / "tools.json"
    with ToolServer() as tools, FakeLlmServer() as model:
        tools.doings.raw = ("application/json", json.dumps({"told": TOLD}).encode())
        tool = {
            "name": "order_status",
            "description": "Tells where an order is.",
            "parameters": {"type": "object", "properties": {"order": {"type": "string"}}},
            "url": f"{tools.url}/order_status",
            "effects": "read",
        }
        tools_file.write_text(json.dumps({"tools": [tool]}))
        settings = {
            "LLM_BASE_URL": model.base_url,
            "TOOLS_FILE": str(tools_file),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "TURN_LOG_TEXTS": "true",
            "LOG_LEVEL": "debug",
        }
        running = Cluster(
            data,
            workers=2,
            knowledge=knowledge,
            environment=settings,
            arguments=["--turn-log", f"file:{log}"],
        )
        assert running.command("encryption", "new-key").returncode == 0
        with running:
            # A tenant's data key is rotated twice while it talks.
            for number in range(1, 7):
                reply = answered(running, f"s{number % 2}", number)
                assert reply.status_code == 200, reply.text
                assert TOLD in reply.json()["answer"]
                if number % 2 == 0 and number < 5:
                    done = running.command("encryption", "rotate")
                    assert done.returncode == 0, done.stderr
            told = json.loads(running.command("encryption", "status", "--json").stdout)
            assert len(told["tenants"]["default"]["keys"]) == 3

            running.wait_until(
                lambda: log.exists() and len(log.read_text().splitlines()) == 6,
                what="the log of turns",
                timeout_s=PATIENCE_S,
            )
            collector.until(reply.json()["trace_id"], lambda spans: len(spans) > 3)
            done = running.command("backup", "--to", backups.as_uri(), "--without-documents")
            assert done.returncode == 0, done.stderr
            client = Redis.from_url(running.redis_url)
            assert [keys_with(client, word) for word in (ASKED, TOLD)] == [set(), set()]
            opened = running.command("encryption", "open", str(log)).stdout
            assert opened.count(ASKED) >= 6

            done = running.command(
                "encryption", "shred", "--tenant", "default", "--yes", "--backup", backups.as_uri()
            )
            assert done.returncode == 0, done.stderr
            running.wait_until(
                lambda: _status(running) == {410}, what="both pods have forgotten the keys"
            )
            gone = requests.get(f"{running.url}/v1/sessions/s1", timeout=30)
            assert gone.json()["error"]["code"] == "sealed"
            # What begins now has a key of its own.
            assert answered(running, "fresh", 9).status_code == 200
        spans = json.dumps([str(span) for span in _spans(collector)], default=str)
    assert ASKED not in spans
    assert TOLD not in spans
    # Redis's own file, logs of all processes, artifacts, the log of turns, the backup.
    assert said_by_files(data, (ASKED, TOLD)) == []
    assert said_by_files(backups, (ASKED, TOLD)) == []
    assert said_by_files(log.parent, (ASKED, TOLD)) == []


def _status(cluster: Cluster) -> set[int]:
    return {
        requests.get(f"{cluster.pod_url(name)}/v1/sessions/s1", timeout=30).status_code
        for name in ("worker-0", "worker-1")
    }


def _spans(collector: Collector) -> list[object]:
    with collector.lock:
        return list(collector.spans)
