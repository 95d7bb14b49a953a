"""A real Weaviate server of a test's own, built by ``scripts/weaviate.sh``."""

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import requests

from kotaemon_node.adapters.weaviate import WeaviateAddress
from kotaemon_node.local.ports import choose_block

_BUILT = Path(__file__).parents[1] / ".weaviate"
_START_S = 120.0
KEY = "not-a-secret"


class WeaviateServer:
    """Starts, stops, freezes and empties one server."""

    def __init__(self) -> None:
        programs = sorted(_BUILT.glob("weaviate-server-*"))
        assert programs, "there is no Weaviate server; `sh scripts/weaviate.sh` builds one"
        self._program = programs[-1]
        self.folder = Path(tempfile.mkdtemp(prefix="kn-weaviate-"))
        self.port = choose_block(6)
        self.address = WeaviateAddress(f"http://127.0.0.1:{self.port}", key=KEY)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def setting(self) -> str:
        """What goes into ``VECTOR_STORE``."""
        return f"weaviate+http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and return when it takes requests."""
        environment = {
            "HOME": str(self.folder),
            "PERSISTENCE_DATA_PATH": str(self.folder / "data"),
            "AUTHENTICATION_APIKEY_ENABLED": "true",
            "AUTHENTICATION_APIKEY_ALLOWED_KEYS": KEY,
            "AUTHENTICATION_APIKEY_USERS": "kotaemon",
            # Nothing leaves the machine, and nothing is made that was not asked for.
            "DISABLE_TELEMETRY": "true",
            "API_BASED_MODULES_DISABLED": "true",
            "DEFAULT_VECTORIZER_MODULE": "none",
            "AUTOSCHEMA_ENABLED": "false",
            "GO_PROFILING_DISABLE": "true",
            # The disk of a test machine may be fuller than a database likes.
            "DISK_USE_READONLY_PERCENTAGE": "99",
            # One node, which looks for no others.
            "CLUSTER_HOSTNAME": "test",
            "CLUSTER_IN_LOCALHOST": "true",
            "CLUSTER_BIND_ADDR": "127.0.0.1",
            "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
            "CLUSTER_GOSSIP_BIND_PORT": str(self.port + 1),
            "CLUSTER_DATA_BIND_PORT": str(self.port + 2),
            "RAFT_PORT": str(self.port + 3),
            "RAFT_INTERNAL_RPC_PORT": str(self.port + 4),
            "RAFT_JOIN": f"test:{self.port + 3}",
            "RAFT_BOOTSTRAP_EXPECT": "1",
            "GRPC_PORT": str(self.port + 5),
            "LOG_LEVEL": "warning",
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "--host=127.0.0.1", f"--port={self.port}", "--scheme=http"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=environment,
            )
        deadline = time.monotonic() + _START_S
        while not self._ready():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None and self._process.poll() is None

    def _ready(self) -> bool:
        try:
            found = requests.get(f"{self.address.url}/v1/.well-known/ready", timeout=5.0)
        except requests.RequestException:
            return False
        return found.status_code == requests.codes.ok

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it the hard way; its folder stays."""
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(timeout=30)

    def wipe(self) -> None:
        """Forget everything; while it is down."""
        shutil.rmtree(self.folder / "data")

    def remove(self) -> None:
        """End it and remove its folder."""
        if self.running:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
