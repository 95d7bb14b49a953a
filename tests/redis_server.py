"""A real redis-server of a test's own, on a free port of the loopback address."""

import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import redis

from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.local.ports import is_free

# Below the ports of whole clusters (``local.ports``) and below those that the system gives to
# outgoing connections: else a connection of anybody's may have it before its server starts.
_FIRST_PORT, _LAST_PORT = 10_000, 20_000
_given: set[int] = set()
_dice = random.SystemRandom()  # of the same seed in no two processes


def free_port() -> int:
    """Return a port that nobody listens on now, each only once in this process."""
    while True:
        port = _dice.randrange(_FIRST_PORT, _LAST_PORT)
        if port not in _given and is_free(port):
            _given.add(port)
            return port


class Server(Protocol):
    """What tests ask of any store."""

    url: str
    removed: bool

    def start(self) -> None: ...
    def wipe(self) -> None: ...
    def remove(self) -> None: ...


class RedisServer:
    """Starts, kills, freezes and restarts one redis-server with an append-only file."""

    def __init__(self, *, options: Sequence[str] = ("--appendonly", "yes")) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kn-redis-"))
        self.port = free_port()
        self.options = tuple(options)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.removed = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it answers."""
        self._process = subprocess.Popen(
            [
                "redis-server",
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
                *("--save", "", "--loglevel", "warning", *self.options),
            ],
            stdout=subprocess.DEVNULL,
        )
        client = redis.Redis(port=self.port, socket_timeout=5)
        deadline = time.monotonic() + 30
        while True:
            try:
                client.ping()
            except redis.exceptions.RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                client.close()
                return

    @property
    def running(self) -> bool:
        """Whether it was started and not killed."""
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it the hard way."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=30)

    def remove(self) -> None:
        """End it and remove its folder."""
        self.removed = True
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wipe(self) -> None:
        """Forget everything."""
        client = redis.Redis(port=self.port)
        client.flushall()
        client.close()


class ServerClock(SystemClock):
    """A clock on which whoever sleeps after the server was removed sleeps for ever.

    The product's readers reconnect for ever; this keeps them quiet when their test is over.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def sleep(self, duration_s: float) -> None:
        if self._server.removed:
            threading.Event().wait()
        super().sleep(duration_s)
