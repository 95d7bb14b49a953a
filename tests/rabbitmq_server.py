"""A real RabbitMQ server of a test's own: its own node, ports, folders and epmd."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kotaemon_node.adapters.rabbitmq import RabbitmqAddress
from kotaemon_node.local.ports import choose_block

# Debian's wrapper in sbin changes the user and lives in a folder of the system's own server.
_PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_START_S = 120.0


class RabbitmqServer:
    """Starts, stops and freezes one server."""

    def __init__(self) -> None:
        program = _PROGRAM if Path(_PROGRAM).exists() else shutil.which("rabbitmq-server")
        assert program, "rabbitmq-server is not installed; `make test` installs it"
        self._program = program
        self.folder = Path(tempfile.mkdtemp(prefix="kn-rabbitmq-"))
        self.port = choose_block(3)
        self.address = RabbitmqAddress(host="127.0.0.1", port=self.port)
        self._names: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def _node(self) -> str:
        return f"kn{self.port}@localhost"

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_DIST_PORT": str(self.port + 1),
            "ERL_EPMD_PORT": str(self.port + 2),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def start(self) -> None:
        """Start it and return when it takes connections."""
        (self.folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n")
        (self.folder / "enabled_plugins").write_text("[].\n")
        log = self.folder / "output"
        with log.open("ab") as out:
            if self._names is None:
                # Ours, so that it ends with us: the server would leave a daemon behind.
                self._names = subprocess.Popen(
                    ["epmd"], env=self._environment, stdout=out, stderr=out
                )
                _until(lambda: _listens(self.port + 2), log)
            self._process = subprocess.Popen(
                [self._program],
                env=self._environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        _until(lambda: _listens(self.port), log)

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it, and to the shells around it."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def close_connections(self) -> None:
        """Close every client's connection."""
        subprocess.run(
            [
                *(str(Path(self._program).with_name("rabbitmqctl")), "--node", self._node),
                *("close_all_connections", "as a test wants"),
            ],
            env=self._environment,
            check=True,
            capture_output=True,
            timeout=_START_S,
        )

    def kill(self) -> None:
        """End it the hard way; its folder stays."""
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(timeout=30)
        # The shell was waited for, not the server in it.
        _until(lambda: not _listens(self.port), self.folder / "output")

    def remove(self) -> None:
        """End it and remove its folder."""
        if self.running:
            self.kill()
        if self._names is not None:
            self._names.kill()
            self._names.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)


def _until(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
