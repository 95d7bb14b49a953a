"""A leader with two build workers, all processes, a real Kafka; one worker is killed at work."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from kotaemon_node.local.ports import choose_block
from tests.fakes.signing import key_settings
from tests.integration.test_coordinator_process import Process, Site, until
from tests.kafka_broker import KafkaBroker
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0
DOCUMENTS = 60
# The real programs, but for the model: what the test waits for is not encoding.
PROGRAM = """
import sys
from coordinator import main, standing
from tests.fakes.encoder import HashingEncoder

class Slow(HashingEncoder):
    def encode_passages(self, texts):
        import time
        time.sleep(0.05)
        return super().encode_passages(texts)

standing.make_encoder = lambda *settings, **more: Slow()
sys.exit(main.main())
"""


@pytest.fixture
def kafka() -> Iterator[KafkaBroker]:
    broker = KafkaBroker()
    broker.start()
    yield broker
    broker.remove()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    server = RedisServer()
    server.start()
    site = Site(tmp_path, server)
    yield site
    site.clock.closed = True
    server.remove()


def worker(site: Site, kafka: KafkaBroker, name: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "COORDINATOR_ROLE": "build-worker",
        "COORDINATOR_PORT": str(choose_block(1)),
        "KAFKA_BOOTSTRAP_SERVERS": kafka.address.servers[0],
        "ARTIFACT_URL": site.artifacts.as_uri(),
        **key_settings(site.root),
    }
    with (site.root / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, stdout=log
        )


def made(site: Site, name: str) -> int:
    return (site.root / f"{name}.log").read_text("utf-8").count('"piece_made"')


@pytest.mark.long
def test_documents_are_built_by_workers_although_one_is_killed(
    site: Site, kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.address.servers[0])
    leader = Process(site)
    leader.command = [sys.executable, "-c", PROGRAM]
    first, second = worker(site, kafka, "first"), worker(site, kafka, "second")
    try:
        leader.start()
        leader.wait_ready()
        until(lambda: any(it.get("there") == 2 for it in leader.logged()), what="two workers")
        for number in range(DOCUMENTS):
            text = "".join(f"# Part {at}\n\nFact {at} of {number}.\n\n" for at in range(40))
            (site.knowledge / f"{number:02}.md").write_text(text, "utf-8")
        until(lambda: made(site, "first") >= 3, what="pieces of the first", timeout_s=PATIENCE_S)
        first.kill()
        until(
            lambda: all(
                (entry := site.entry(f"{number:02}.md")) is not None and entry.status == "indexed"
                for number in range(DOCUMENTS)
            ),
            what="all documents",
            timeout_s=PATIENCE_S,
        )
        metrics = requests.get(f"http://127.0.0.1:{leader.port}/metrics", timeout=10).text
        used = re.search(r'pieces_total\{outcome="used"\} (\d+)', metrics)
        print("pieces:", re.findall(r"pieces_total\{.*", metrics), made(site, "second"))
        assert used is not None
        assert int(used[1]) >= made(site, "first")
        assert made(site, "second") > 0
        building = site.artifacts / "tenants/default/kb/default/building"
        until(
            lambda: not building.exists() or not list(building.iterdir()),
            what="pieces are removed",
            timeout_s=PATIENCE_S,
        )
        second.send_signal(signal.SIGTERM)
        assert second.wait(timeout=60) == 0
    finally:
        leader.remove()
        for process in (first, second):
            process.kill()
            process.wait()
