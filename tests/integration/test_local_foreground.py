"""``kotaemon up`` in the foreground: it shows what happens, and everything ends with it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from kotaemon_node.local import leftovers
from kotaemon_node.local.probes import redis_answers
from tests.cluster import COMMAND, Cluster
from tests.redis_server import RedisServer

_WAIT_S = 200.0


class Foreground:
    """A cluster whose ``up`` stays in the foreground, writing to a file."""

    def __init__(self, cluster: Cluster, knowledge: Path) -> None:
        self.cluster = cluster
        self._output = cluster.folder.path.with_suffix(".out")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *COMMAND,
                    *("up", "--workers", "1", "--port", str(cluster.port)),
                    *("--data", str(cluster.folder.path), "--knowledge", str(knowledge)),
                ],
                env=cluster.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_says(self, text: str) -> None:
        """Return when it has printed this."""
        self.cluster.wait_until(
            lambda: text in self.said() or self.process.poll() is not None,
            what=f"it says {text!r}",
            timeout_s=_WAIT_S,
        )
        assert text in self.said()

    def said(self) -> str:
        """Return all that it printed."""
        return self._output.read_text()

    def wait_gone(self) -> None:
        """Return when no process of the cluster is left."""
        folder = self.cluster.folder
        self.cluster.wait_until(lambda: leftovers.find(folder) == [], what="nothing is left")


@pytest.fixture
def knowledge(tmp_path: Path) -> Path:
    """Return as little knowledge as there can be: nothing here is about answers."""
    folder = tmp_path / "knowledge"
    folder.mkdir()
    (folder / "shipping.md").write_text("Parcels take two days.")
    return folder


@pytest.fixture
def foreground(tmp_path: Path, knowledge: Path) -> Iterator[Foreground]:
    foreground = Foreground(Cluster(tmp_path / "data", workers=1), knowledge)
    yield foreground
    foreground.process.kill()
    foreground.process.wait()
    foreground.cluster.down()


@pytest.mark.long
def test_sigterm_stops_everything_in_order(foreground: Foreground) -> None:
    foreground.wait_says("Ctrl-C stops everything")
    assert requests.get(f"{foreground.cluster.url}/healthz", timeout=10).status_code == 200

    foreground.process.send_signal(signal.SIGTERM)

    stopped_in_order(foreground)


def test_it_tells_when_a_process_died_and_is_back_and_ctrl_c_stops_everything_in_order(
    foreground: Foreground,
) -> None:
    foreground.wait_says("Ctrl-C stops everything")

    foreground.cluster.kill("worker-0")

    foreground.wait_says("worker-0 ended")
    foreground.wait_says("worker-0 is ready after")
    foreground.process.send_signal(signal.SIGINT)
    stopped_in_order(foreground)


def stopped_in_order(foreground: Foreground) -> None:
    assert foreground.process.wait(timeout=_WAIT_S) == 0
    assert "Stopped. State stays in the data folder." in foreground.said()
    foreground.wait_gone()
    log = foreground.cluster.log("supervisord")
    order = [log.rindex(f"stopped: {name} ") for name in ("worker-0", "haproxy", "redis")]
    assert order == sorted(order)
    assert "Redis is now ready to exit" in foreground.cluster.log("redis")


def test_ctrl_c_while_it_starts_leaves_nothing_behind(foreground: Foreground) -> None:
    foreground.wait_says("redis        ready")

    foreground.process.send_signal(signal.SIGINT)

    assert foreground.process.wait(timeout=_WAIT_S) == 0
    foreground.wait_gone()


@pytest.mark.long
def test_a_second_ctrl_c_kills_what_takes_too_long(foreground: Foreground) -> None:
    foreground.wait_says("Ctrl-C stops everything")
    port = foreground.cluster.row("worker-0")["port"]
    with socket.create_connection(("127.0.0.1", port)) as unfinished:
        # The worker drains: it waits for the rest of this body, up to its grace of 30 s.
        unfinished.sendall(b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        foreground.process.send_signal(signal.SIGINT)
        foreground.cluster.wait_until(
            lambda: "waiting for" in foreground.cluster.log("supervisord"), what="it is stopping"
        )
        assert foreground.process.poll() is None

        began = time.monotonic()
        foreground.process.send_signal(signal.SIGINT)

        assert foreground.process.wait(timeout=_WAIT_S) == 0
        assert time.monotonic() - began < 15
    foreground.wait_gone()
    assert "Killed" in foreground.said()


@pytest.mark.long
def test_the_death_of_the_command_itself_stops_everything_too(foreground: Foreground) -> None:
    foreground.wait_says("Ctrl-C stops everything")

    foreground.process.kill()

    foreground.process.wait()
    foreground.wait_gone()
    assert "Redis is now ready to exit" in foreground.cluster.log("redis")


@pytest.mark.long
def test_down_in_another_terminal_ends_it_without_an_error(foreground: Foreground) -> None:
    foreground.wait_says("Ctrl-C stops everything")

    foreground.cluster.down()

    assert foreground.process.wait(timeout=_WAIT_S) == 0
    assert "Stopped by another command" in foreground.said()


@pytest.mark.long
def test_the_death_of_the_supervisor_is_told_and_nothing_is_left(foreground: Foreground) -> None:
    foreground.wait_says("Ctrl-C stops everything")
    pid = int((foreground.cluster.folder.run / "supervisord.pid").read_text())

    os.kill(pid, signal.SIGKILL)

    assert foreground.process.wait(timeout=_WAIT_S) == 1
    assert "The supervisor ended with status -9" in foreground.said()
    foreground.wait_gone()


@pytest.mark.long
def test_a_process_that_cannot_start_is_shown_with_its_last_words(tmp_path: Path) -> None:
    # Everything else is right, but the artifacts cannot be where they are said to be.
    cluster = Cluster(tmp_path / "data", workers=1, environment={"ARTIFACT_URL": "ftp://nowhere"})

    done = cluster.command("up", "--port", str(cluster.port), "--detach", timeout_s=240)

    assert done.returncode == 1
    assert "ended 3 times while starting; its whole log is" in done.stderr
    assert "ARTIFACT_URL" in done.stderr
    assert leftovers.find(cluster.folder) == []


@pytest.mark.long
def test_a_redis_of_somebody_else_is_used_and_left_alone(tmp_path: Path, knowledge: Path) -> None:
    server = RedisServer()
    server.start()
    try:
        environment = {"REDIS_URL": server.url}
        with Cluster(
            tmp_path / "data", workers=1, knowledge=knowledge, environment=environment
        ) as cluster:
            names = [row["name"] for row in cluster.ps()]
            created = requests.post(f"{cluster.url}/v1/sessions", json={}, timeout=10)
            assert created.status_code == 201
        assert names == ["haproxy", "coordinator", "worker-0"]
        assert redis_answers("127.0.0.1", server.port)
    finally:
        server.remove()
