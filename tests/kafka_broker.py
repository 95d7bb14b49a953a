"""A real Kafka broker of a test's own, as ``kotaemon up --bus kafka`` runs it."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from kotaemon_node.adapters.kafka import KafkaAddress
from kotaemon_node.local import broker, broker_jars, probes
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.ports import choose_block

_START_S = 120.0


class KafkaBroker:
    """Starts, stops, freezes and empties one broker."""

    def __init__(self, *, user: str = "", password: str = "") -> None:
        """``user``: the broker wants this one, with the password."""
        if not broker_jars.there():
            broker_jars.fetch()
        self.folder = DataFolder(Path(tempfile.mkdtemp(prefix="kn-kafka-")))
        self.port = choose_block(2)
        self.address = KafkaAddress(servers=(f"127.0.0.1:{self.port}",))
        self._login = ""
        if user:
            self.address = replace(
                self.address, security_protocol="SASL_PLAINTEXT", username=user, password=password
            )
            self._login = f'username="{user}" password="{password}" user_{user}="{password}"'
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it takes requests."""
        jars = broker_jars.folder()
        broker.prepare(self.folder, jars, port=self.port, controller_port=self.port + 1)
        if self._login:
            self._want_login()
        command = broker.COMMAND.replace(f"%(ENV_{broker.JARS_VARIABLE})s", str(jars))
        with (self.folder.path / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # One word each, quotes taken away: what supervisord makes of it.
                [word.strip('"') for word in command.split()],
                cwd=self.folder.path,
                stdout=log,
                stderr=log,
                env=os.environ,
            )
        deadline = time.monotonic() + _START_S
        while not probes.kafka_answers("127.0.0.1", self.port):
            log_text = (self.folder.path / "log").read_text()
            assert self._process.poll() is None, log_text
            assert time.monotonic() < deadline, log_text
            time.sleep(0.05)

    def _want_login(self) -> None:
        text = self.folder.kafka_config.read_text()
        text = text.replace("PLAINTEXT://127", "SASL_PLAINTEXT://127", 2).replace(
            "map=PLAINTEXT:PLAINTEXT", "map=SASL_PLAINTEXT:SASL_PLAINTEXT"
        )
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
        self.folder.kafka_config.write_text(
            f"{text}inter.broker.listener.name=SASL_PLAINTEXT\n"
            "sasl.enabled.mechanisms=PLAIN\n"
            "sasl.mechanism.inter.broker.protocol=PLAIN\n"
            "listener.name.sasl_plaintext.plain.sasl.jaas.config="
            f"{module} required {self._login};\n"
        )

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it the hard way; its log stays."""
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(timeout=30)

    def wipe(self) -> None:
        """Forget everything; while it is down."""
        shutil.rmtree(self.folder.kafka)

    def remove(self) -> None:
        """End it and remove its folder."""
        if self.running:
            self.kill()
        shutil.rmtree(self.folder.path, ignore_errors=True)
