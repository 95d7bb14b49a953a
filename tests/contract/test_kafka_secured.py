"""A broker that wants TLS from both sides and SCRAM passwords, and gives each part its rights."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import TopicAuthorizationFailedError

from kotaemon_node.adapters.kafka import KafkaAddress, KafkaBus
from kotaemon_node.adapters.kafka.client import FAILURES, administrator, opened
from kotaemon_node.adapters.kafka.handshake import tls_problem
from kotaemon_node.adapters.kafka.rights import RIGHTS, Role, grant
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import KNOWLEDGE_UPDATED, SESSION_UPDATED, TURN_LOG
from kotaemon_node.local import broker, broker_jars
from kotaemon_node.ports.events import Message
from tests.certificates import Authority
from tests.kafka_broker import KafkaBroker

pytestmark = pytest.mark.long
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_START_S = 120.0


class SecuredBroker(KafkaBroker):
    """One node with SASL_SSL, SCRAM-SHA-512 and Kafka's own authorizer."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.authority = Authority(folder)
        self._own, self.ours = self.authority.pair("kafka"), self.authority.pair("worker")

    def known_as(self, user: str) -> KafkaAddress:
        """Return the broker as ``user`` reaches it; the password is the user's name."""
        return KafkaAddress(
            servers=(f"127.0.0.1:{self.port}",),
            security_protocol="SASL_SSL",
            sasl_mechanism="SCRAM-SHA-512",
            username=user,
            password=user,
            ca_file=self.authority.file,
            cert_file=self.ours.certificate,
            key_file=self.ours.key,
        )

    def start(self) -> None:
        jars = broker_jars.folder()
        self._configure()
        users = [
            word
            for user in ("admin", *RIGHTS)
            for word in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={user}]")
        ]
        java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
        tool = ["kafka.tools.StorageTool", "format", "--cluster-id", "k" * 22]
        config = ["--config", str(self.folder.kafka_config)]
        subprocess.run([*java, *tool, *config, *users], check=True, timeout=_START_S, cwd="/tmp")
        with (self.folder.path / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*java, "kafka.Kafka", str(self.folder.kafka_config)],
                cwd=self.folder.path,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder.path / "log").read_text()
            assert time.monotonic() < deadline, (self.folder.path / "log").read_text()

    def _answers(self) -> bool:
        try:
            with administrator(self.known_as("admin")) as admin:
                admin.describe_cluster()
        except FAILURES:
            return False
        return True

    def _configure(self) -> None:
        folder = self.folder.kafka
        folder.mkdir(exist_ok=True)
        store = self.folder.path / "keys.pem"
        store.write_bytes(self._own.key.read_bytes() + self._own.certificate.read_bytes())
        text = broker.broker_config(
            port=self.port, controller_port=self.port + 1, folder=str(folder)
        )
        text = text.replace("PLAINTEXT://127", "SASL_SSL://127", 2)
        text = text.replace("map=PLAINTEXT:PLAINTEXT", "map=SASL_SSL:SASL_SSL")
        jaas = f'{_SCRAM} required username="admin" password="admin";'
        own = {
            "inter.broker.listener.name": "SASL_SSL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": jaas,
            "listener.name.sasl_ssl.ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # The controller listens on this node alone, without a login.
            "super.users": "User:admin;User:ANONYMOUS",
        }
        lines = [f"{name}={value}" for name, value in own.items()]
        self.folder.kafka_config.write_text("\n".join([text, *lines, ""]))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    started = SecuredBroker(tmp_path_factory.mktemp("authority"))
    try:
        started.start()
        with administrator(started.known_as("admin")) as admin:
            for role in RIGHTS:
                assert grant(admin, role, role) == grant(admin, role, role) > 3
        yield started
    finally:
        started.remove()


def publishes(broker: SecuredBroker, role: Role, topic: str) -> bool:
    bus = KafkaBus(broker.known_as(role), clock=SystemClock())
    try:
        bus.publish(Message(topic, "key", b"{}"))
    except Unavailable as error:
        if not isinstance(error.__cause__, TopicAuthorizationFailedError):
            raise
        return False
    finally:
        bus.close()
    return True


def test_each_part_publishes_what_is_its_own_and_nothing_else(secured: SecuredBroker) -> None:
    assert publishes(secured, "coordinator", KNOWLEDGE_UPDATED)
    assert publishes(secured, "worker", SESSION_UPDATED)
    assert publishes(secured, "worker", TURN_LOG)

    assert not publishes(secured, "worker", KNOWLEDGE_UPDATED)
    assert not publishes(secured, "turn-log", TURN_LOG)
    assert not publishes(secured, "coordinator", TURN_LOG)


def read(broker: SecuredBroker, role: Role, topic: str) -> int:
    """Return how many messages a part finds first; raises where it may not look."""
    consumer = opened(KafkaConsumer, broker.known_as(role), group_id=None)
    try:
        places = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        deadline = time.monotonic() + 30
        while not (found := consumer.poll(timeout_ms=500)):
            assert time.monotonic() < deadline, "neither a message nor a refusal"
        return sum(map(len, found.values()))
    finally:
        consumer.close()


def test_workers_read_what_they_may_not_write_and_not_what_others_said(
    secured: SecuredBroker,
) -> None:
    publishes(secured, "coordinator", KNOWLEDGE_UPDATED)

    assert read(secured, "worker", KNOWLEDGE_UPDATED) >= 1
    with pytest.raises(TopicAuthorizationFailedError):
        read(secured, "worker", TURN_LOG)
    assert publishes(secured, "worker", TURN_LOG)
    assert read(secured, "turn-log", TURN_LOG) >= 1


def test_what_is_wrong_with_tls_is_told_with_what_to_do(
    secured: SecuredBroker, tmp_path: Path
) -> None:
    good = secured.known_as("worker")
    stranger = Authority(tmp_path, "stranger")
    theirs = stranger.pair("worker")

    assert tls_problem(good) == ""
    wrong_authority = replace(good, ca_file=stranger.file)
    assert "who signed its certificate is not trusted" in tls_problem(wrong_authority)
    other_name = replace(good, servers=(f"127.0.0.2:{secured.port}",))
    assert tls_problem(other_name) == "" or "another name" in tls_problem(other_name)
    not_shown = replace(good, cert_file=None, key_file=None)
    assert "wants a certificate of ours" in tls_problem(not_shown)
    not_known = replace(good, cert_file=theirs.certificate, key_file=theirs.key)
    assert "of ours" in tls_problem(not_known)
    assert "cannot be used" in tls_problem(replace(good, ca_file=tmp_path / "nothing"))


def test_a_password_that_a_file_holds_is_exchanged_without_a_restart(
    secured: SecuredBroker, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("wrong\n")
    address = replace(secured.known_as("worker"), password="", password_file=file)
    bus = KafkaBus(address, clock=SystemClock())
    try:
        with pytest.raises(Unavailable):
            bus.publish(Message(SESSION_UPDATED, "key", b"{}"))
        file.write_text("worker\n")
        deadline = time.monotonic() + 30
        while True:
            try:
                bus.publish(Message(SESSION_UPDATED, "key", b"{}"))
                break
            except Unavailable:
                assert time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        bus.close()
