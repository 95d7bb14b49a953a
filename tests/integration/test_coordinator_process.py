"""The coordinator as it runs: its own process, a real Redis, the real encoder, real files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from kotaemon_node.adapters.encoder.factory import models_to_install
from kotaemon_node.adapters.encoder.install import install_models
from kotaemon_node.adapters.redis import (
    RedisGenerationPointer,
    RedisStreamsBus,
    connect,
    keys,
)
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.events import KNOWLEDGE_UPDATED
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.domain.signed_manifest import split
from tests.fakes.signing import key_settings
from tests.redis_server import RedisServer, free_port

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample/knowledge"
PATIENCE_S = 60.0
# The promise to users is 5 s until every pod answers; most of it must be left for the pods.
CHANGE_TO_EVENT_MAX_S = 4.0


def until(condition: Callable[[], Any], *, what: str, timeout_s: float = PATIENCE_S) -> Any:
    """Return the condition's value once it is true."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.02)
    return value


class SiteClosed(Exception):
    """The test is over."""


class SiteClock(SystemClock):
    """Ends the listener's wait for a Redis that is gone because the test is over."""

    closed = False

    def sleep(self, duration_s: float) -> None:
        if self.closed:
            raise SiteClosed
        super().sleep(duration_s)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


class Site:
    """Redis, a knowledge folder and an artifact folder, shared by coordinators."""

    def __init__(self, root: Path, redis: RedisServer) -> None:
        self.clock = SiteClock()
        self.root = root
        self.redis = redis
        self.knowledge = root / "knowledge"
        self.artifacts = root / "artifacts"
        self.knowledge.mkdir()
        (self.knowledge / "hours.md").write_text("We open on weekdays.", encoding="utf-8")
        self.store = connect(redis.url)
        self.pointer = RedisGenerationPointer(self.store)
        self.events: list[tuple[float, dict[str, Any]]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        bus = RedisStreamsBus(self.store, waiting=connect(self.redis.url), clock=self.clock)
        with suppress(SiteClosed):
            for message in bus.subscribe((KNOWLEDGE_UPDATED,), on_positioned=lambda: None):
                self.events.append((time.monotonic(), json.loads(message.value)))

    def generation(self, kb: str = "default") -> int:
        ref = self.pointer.current("default").get(kb)
        return ref.generation if ref else 0

    def manifest(self, kb: str = "default") -> Manifest:
        ref = self.pointer.current("default")[kb]
        raw = (self.artifacts / ref.manifest).read_bytes()
        manifest = Manifest.from_json(split(raw).payload)
        assert manifest.digest == ref.digest
        return manifest

    def entry(self, document: str) -> Any:
        entries = {it.document: it for it in self.manifest().documents}
        return entries.get(document)


class Process:
    """One coordinator."""

    def __init__(self, site: Site, name: str = "a") -> None:
        self.port = free_port()
        self.log = site.root / f"{name}.log"
        self.command = [sys.executable, "-m", "coordinator.main"]
        self._site = site
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "REDIS_URL": self._site.redis.url,
            "ARTIFACT_URL": self._site.artifacts.as_uri(),
            "KNOWLEDGE_DIR": str(self._site.knowledge),
            "MODEL_DIR": str(ROOT / ".models"),
            "COORDINATOR_PORT": str(self.port),
            **key_settings(self._site.root),
        }
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(self.command, cwd=ROOT, env=environment, stdout=log)

    @property
    def status(self) -> dict[str, Any]:
        try:
            answer = requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5)
        except requests.ConnectionError:
            return {}
        return {**answer.json(), "code": answer.status_code}

    def wait_ready(self) -> None:
        until(lambda: self.status.get("code") == 200, what=f"ready; log: {self.logged()[-5:]}")

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def send(self, number: signal.Signals) -> None:
        assert self._popen is not None
        self._popen.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self._popen is not None
        self._popen.send_signal(number)
        return self._popen.wait(timeout=30)

    def remove(self) -> None:
        if self._popen is not None and self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait(timeout=30)


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    install_models(models_to_install("", "onnx"), ROOT / ".models", lambda _step: None)
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def site(tmp_path: Path, redis_server: RedisServer) -> Iterator[Site]:
    redis_server.wipe()
    site = Site(tmp_path, redis_server)
    yield site
    site.clock.closed = True


@pytest.fixture
def coordinators(site: Site) -> Iterator[Callable[[str], Process]]:
    started: list[Process] = []

    def start(name: str) -> Process:
        started.append(Process(site, name))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.remove()


def test_sample_knowledge_is_published_and_changes_follow_within_seconds(
    site: Site, coordinators: Callable[[str], Process]
) -> None:
    shutil.copytree(SAMPLE, site.knowledge, dirs_exist_ok=True)
    process = coordinators("a")
    process.wait_ready()
    documents = {it.document: it for it in site.manifest().documents}
    assert {it.status for it in documents.values()} == {"indexed"}
    assert documents["faq.csv"].passages >= 20
    assert documents["returns-zh.md"].title == "退货、换货和取消订单"
    assert site.generation("handbook") == 1
    before = site.generation()

    def seconds_to_event(change: Callable[[], object]) -> float:
        seen = len(site.events)
        began_s = time.monotonic()
        change()
        until(lambda: len(site.events) > seen, what="an event")
        return site.events[-1][0] - began_s

    moon = site.knowledge / "moon.md"
    took = [
        seconds_to_event(lambda: moon.write_text("# Moon\n\nWe do not ship to the moon.")),
        seconds_to_event(lambda: moon.write_text("# Moon\n\nWe ship to the moon since May.")),
        seconds_to_event(moon.unlink),
    ]
    print("seconds from change to event:", [round(it, 2) for it in took])
    assert max(took) < CHANGE_TO_EVENT_MAX_S
    assert site.generation() == before + 3
    assert site.entry("moon.md") is None
    assert [event["generation"] for _, event in site.events[-3:]] == [
        before + 1,
        before + 2,
        before + 3,
    ]


def test_a_file_written_slowly_is_read_when_it_is_whole(
    site: Site, coordinators: Callable[[str], Process]
) -> None:
    coordinators("a").wait_ready()
    before = site.generation()
    path = site.knowledge / "slow.md"
    with path.open("w", encoding="utf-8") as file:
        for at in range(15):
            file.write(f"Line {at} of a file that takes its time.\n\n")
            file.flush()
            time.sleep(0.05)
    until(lambda: site.entry("slow.md"), what="the slow file")
    assert site.generation() == before + 1
    assert site.entry("slow.md").file_bytes == path.stat().st_size


def test_a_killed_coordinator_comes_back_to_the_same_generation(
    site: Site, coordinators: Callable[[str], Process]
) -> None:
    first = coordinators("a")
    first.wait_ready()
    digest = site.manifest().digest
    first.end(signal.SIGKILL)

    second = coordinators("b")
    second.wait_ready()
    until(lambda: second.status["role"] == "leader", what="the lead")
    until(lambda: second.status["code"] == 200, what="ready as leader")
    assert site.manifest().digest == digest
    site.redis.wipe()
    until(lambda: site.generation() == 1, what="the pointer, made again")
    assert site.manifest().digest == digest


def test_a_standby_takes_over_from_a_killed_leader(
    site: Site, coordinators: Callable[[str], Process]
) -> None:
    leader = coordinators("a")
    leader.wait_ready()
    standby = coordinators("b")
    standby.wait_ready()
    assert standby.status["role"] == "standby"
    before = site.generation()

    leader.end(signal.SIGKILL)
    (site.knowledge / "news.md").write_text("We open on Sundays.", encoding="utf-8")
    until(lambda: site.entry("news.md"), what="the standby's generation")
    assert standby.status["role"] == "leader"
    assert site.generation() == before + 1


def test_a_frozen_leader_that_wakes_up_publishes_nothing_on_its_own(
    site: Site, coordinators: Callable[[str], Process]
) -> None:
    first = coordinators("a")
    first.wait_ready()
    second = coordinators("b")
    second.wait_ready()
    first.send(signal.SIGSTOP)
    until(lambda: second.status["role"] == "leader", what="the lead of the second")
    (site.knowledge / "news.md").write_text("We open on Sundays.", encoding="utf-8")
    until(lambda: site.entry("news.md"), what="the second's generation")
    generation = site.generation()

    first.send(signal.SIGCONT)
    until(lambda: first.status.get("role") == "standby", what="the first to step back")
    (site.knowledge / "news.md").write_text("We close on Sundays.", encoding="utf-8")
    until(lambda: site.generation() == generation + 1, what="one more generation")
    assert site.entry("news.md").text_chars == len("We close on Sundays.")
    assert second.status["role"] == "leader"


def test_term_ends_it_cleanly_and_frees_the_lead(
    site: Site, coordinators: Callable[[str], Process]
) -> None:
    process = coordinators("a")
    process.wait_ready()
    began_s = time.monotonic()
    assert process.end() == 0
    assert time.monotonic() - began_s < 10
    assert not site.store.client.exists(keys.leader("coordinator"))
    assert process.logged()[-1]["event"] == "stopped"
    assert process.logged()[-1]["work_ended"]


def test_term_in_the_middle_of_encoding_ends_it_as_cleanly(
    site: Site, coordinators: Callable[[str], Process]
) -> None:
    process = coordinators("a")
    process.wait_ready()
    sentence = "Sentence {} of a long report tells something about lamps, chairs and shipping. "
    long = "".join(sentence.format(at) for at in range(20_000))
    (site.knowledge / "long.txt").write_text(long, encoding="utf-8")
    until(
        lambda: any(line.get("phase") == "encoding" for line in process.logged()),
        what="a line of progress",
    )
    assert process.end() == 0
    assert process.logged()[-1]["event"] == "stopped"
    assert site.entry("long.txt") is None


def test_settings_that_cannot_work_are_one_clear_line(site: Site) -> None:
    environment = {**os.environ, "COORDINATOR_PORT": "banana", "ARTIFACT_URL": "ftp://x"}
    command = [sys.executable, "-m", "coordinator.main"]
    wrong = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert wrong.returncode == 2
    assert "COORDINATOR_PORT" in json.loads(wrong.stdout)["problems"][0]

    environment |= {"COORDINATOR_PORT": "1", "KNOWLEDGE_DIR": str(site.knowledge)}
    wrong = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert wrong.returncode == 1
    assert "begins with 'ftp'" in json.loads(wrong.stdout)["reason"]
