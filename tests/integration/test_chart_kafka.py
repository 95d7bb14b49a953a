"""The chart's Kafka, by the very files and commands that it renders: each part is a user there."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import ClusterAuthorizationFailedError, TopicAuthorizationFailedError

from kotaemon_node.adapters.kafka import (
    KafkaAddress,
    KafkaBus,
    KafkaTaskGroup,
    KafkaTaskOffers,
    KafkaTurnLog,
)
from kotaemon_node.adapters.kafka.client import FAILURES, administrator
from kotaemon_node.adapters.kafka.rights import RIGHTS, Role, grant
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import (
    KNOWLEDGE_UPDATED,
    SESSION_UPDATED,
    TURN_LOG,
    BuildTask,
)
from kotaemon_node.local import broker_jars, probes
from kotaemon_node.local.ports import choose_block
from kotaemon_node.ports.events import Message
from kotaemon_node.settings import Settings
from tests.helm_chart import (
    EXAMPLES,
    ROOT,
    F,
    containers,
    environment,
    files_of,
    pods,
    rendered,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

PATIENCE_S = 90.0
ALL_ON = next(path for path in EXAMPLES if path.name == "all-values.yaml")
PODS: Mapping[Role, str] = {
    "worker": f"StatefulSet {F}-worker",
    "coordinator": f"StatefulSet {F}-coordinator",
    "turn-log": f"Deployment {F}-turn-log",
}


class RenderedKafka:
    """The pod of Kafka: its two containers as processes, with other folders and ports."""

    def __init__(self, folder: Path) -> None:
        if not broker_jars.there():
            broker_jars.fetch()
        self._folder, self._port = folder, choose_block(3)
        self._objects = rendered(ALL_ON)
        spec = dict(pods(self._objects))[f"StatefulSet {F}-kafka"]
        self._containers = {it["name"]: it for it in containers(spec)}
        self._processes: list[subprocess.Popen[bytes]] = []
        for name in ("kafka", "data", "passwords", "tmp"):
            (folder / name).mkdir()
        for name, text in files_of(self._objects, f"{F}-kafka").items():
            (folder / "kafka" / name).write_text(self._here(text))
        for role in RIGHTS:
            self.set_password(role, f"of{role}")

    def set_password(self, role: Role, password: str) -> None:
        """Write the password of a part's user into the secret."""
        (self._folder / "passwords" / role).write_text(password)

    def start_broker(self) -> None:
        """Start the broker's container; returns when it takes requests."""
        self._processes.append(self._started("kafka", ENV_OF_JAVA))
        deadline = time.monotonic() + PATIENCE_S
        while not probes.kafka_answers("127.0.0.1", self._port):
            assert self._processes[-1].poll() is None, self.log("kafka")
            assert time.monotonic() < deadline, self.log("kafka")
            time.sleep(0.1)

    def grant_rights(self) -> None:
        """Start the container beside it; returns when its own probe would let clients come."""
        granted = self._folder / "tmp" / "granted"
        granted.unlink(missing_ok=True)
        beside = self._started("rights", {})
        self._processes.append(beside)
        deadline = time.monotonic() + PATIENCE_S
        while not granted.exists():
            assert beside.poll() is None, self.log("rights")
            assert time.monotonic() < deadline, self.log("rights")
            time.sleep(0.1)
        beside.terminate()
        assert beside.wait(10) == 0, "it leaves when it is told"

    def address(self, role: Role, **other: str) -> KafkaAddress:
        """Return the broker as the environment of a part's pod describes it."""
        own = environment(containers(dict(pods(self._objects))[PODS[role]])[-1])
        told = {name.lower(): text for name, text in own.items() if name.startswith("KAFKA_")}
        key = told["kafka_password"]["secretKeyRef"]["key"]
        user = key.removeprefix("kafka-").removesuffix("-password")
        told["kafka_password"] = (self._folder / "passwords" / user).read_text()
        told["kafka_bootstrap_servers"] = self._here(told["kafka_bootstrap_servers"])
        return KafkaAddress.of(Settings.model_validate(told | other))

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait(30)
        self._processes.clear()

    def _started(self, name: str, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
        container = self._containers[name]
        own = {key: text for key, text in environment(container).items() if isinstance(text, str)}
        own = {key: self._here(text) for key, text in own.items()}
        *shell, script = container["command"]
        search = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*shell, self._here(script)],
                env={**os.environ, "PATH": search, "PYTHONPATH": str(ROOT), **own, **more},
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )

    def _here(self, text: str) -> str:
        places = {
            f"{F}-kafka:9092": f"127.0.0.1:{self._port}",
            "0.0.0.0:9092": f"127.0.0.1:{self._port}",
            "127.0.0.1:9093": f"127.0.0.1:{self._port + 1}",
            "127.0.0.1:9094": f"127.0.0.1:{self._port + 2}",
            "/opt/kafka/libs": str(broker_jars.folder()),
            "/etc/kotaemon/kafka-passwords": str(self._folder / "passwords"),
            "/etc/kotaemon/kafka": str(self._folder / "kafka"),
            "/var/lib/kafka/data": str(self._folder / "data"),
            "/tmp/granted": str(self._folder / "tmp" / "granted"),
        }
        for there, here in places.items():
            text = text.replace(there, here)
        return text


ENV_OF_JAVA = {"HEAP": "256m", "LOGGING": "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RenderedKafka]:
    started = RenderedKafka(tmp_path_factory.mktemp("rendered"))
    try:
        started.start_broker()
        started.grant_rights()
        yield started
    finally:
        started.stop()


def publishes(address: KafkaAddress, topic: str) -> bool:
    bus = KafkaBus(address, clock=SystemClock())
    try:
        bus.publish(Message(topic, "key", b"{}"))
    except Unavailable as error:
        if not isinstance(error.__cause__, TopicAuthorizationFailedError):
            raise
        return False
    finally:
        bus.close()
    return True


def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.05)


def test_each_part_publishes_and_hears_what_its_work_is(kafka: RenderedKafka) -> None:
    worker, coordinator = kafka.address("worker"), kafka.address("coordinator")
    heard: list[str] = []
    bus = KafkaBus(worker, clock=SystemClock())
    positioned = threading.Event()

    def listen() -> None:
        for message in bus.subscribe((KNOWLEDGE_UPDATED,), on_positioned=positioned.set):
            heard.append(message.topic)

    threading.Thread(target=listen, daemon=True).start()  # it reads for ever
    assert positioned.wait(PATIENCE_S)
    assert publishes(coordinator, KNOWLEDGE_UPDATED)
    until(lambda: heard, "a worker hears it")
    bus.close()
    assert publishes(worker, SESSION_UPDATED)
    assert publishes(worker, TURN_LOG)

    taken: list[Message] = []
    stop = threading.Event()
    source = KafkaTurnLog(kafka.address("turn-log"), name="test", wait_s=lambda failures: 0.2)
    reading = threading.Thread(target=source.run, args=(taken.extend, stop))
    reading.start()
    try:
        until(lambda: taken, "the log of turns is read")
    finally:
        stop.set()
        reading.join(30)


def test_build_workers_share_tasks_as_the_coordinator(kafka: RenderedKafka) -> None:
    address = kafka.address("coordinator")
    done: list[str] = []
    stop = threading.Event()
    group = KafkaTaskGroup(address)
    working = threading.Thread(target=group.run, args=(lambda it: done.append(it.document), stop))
    working.start()
    bus = KafkaBus(address, clock=SystemClock())
    offers = KafkaTaskOffers(address, bus)
    offers.start()
    try:
        until(lambda: offers.workers() == 1, "the group has a member")
        offers.offer(BuildTask("default", "kb", "a.md", "0" * 64, 1, "source", "p", "e", "1"))
        until(lambda: done == ["a.md"], "the task is done")
    finally:
        offers.close()
        bus.close()
        stop.set()
        working.join(30)


@pytest.mark.parametrize(
    ("role", "topic"),
    [
        ("worker", KNOWLEDGE_UPDATED),
        ("coordinator", TURN_LOG),
        ("turn-log", TURN_LOG),
        ("turn-log", KNOWLEDGE_UPDATED),
    ],
)
def test_nobody_publishes_what_is_anothers(kafka: RenderedKafka, role: Role, topic: str) -> None:
    assert not publishes(kafka.address(role), topic)


@pytest.mark.parametrize("role", RIGHTS)
def test_nobody_gives_rights_to_himself(kafka: RenderedKafka, role: Role) -> None:
    with (
        administrator(kafka.address(role)) as admin,
        pytest.raises(ClusterAuthorizationFailedError),
    ):
        grant(admin, "coordinator", role)


@pytest.mark.parametrize(
    "other",
    [
        {"kafka_security_protocol": "PLAINTEXT"},
        {"kafka_password": "guessed"},
        {"kafka_username": "admin"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_nobody_else_is_let_in(kafka: RenderedKafka, other: dict[str, str]) -> None:
    def ask() -> None:
        with administrator(kafka.address("worker", **other)) as admin:
            admin.list_topics()

    with pytest.raises(FAILURES):
        ask()


def test_another_password_counts_when_the_pod_has_started_again(kafka: RenderedKafka) -> None:
    """Rights and topics lie on the volume; the secret goes before what is stored."""
    before = kafka.address("worker")
    kafka.stop()
    kafka.set_password("worker", "anotherone")
    kafka.start_broker()
    kafka.grant_rights()

    assert publishes(kafka.address("worker"), SESSION_UPDATED)
    assert not publishes(kafka.address("worker"), KNOWLEDGE_UPDATED)
    with pytest.raises(Unavailable):
        publishes(before, SESSION_UPDATED)


def test_a_missing_password_is_named(kafka: RenderedKafka, tmp_path: Path) -> None:
    (tmp_path / "worker").write_text("pw")
    program = str(Path(sys.executable).parent / "kotaemon")
    done = subprocess.run(
        [program, "rights", "kafka", "--passwords", str(tmp_path)],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert f"The password of coordinator cannot be read from {tmp_path}/coordinator" in (
        " ".join(done.stderr.split())
    )
