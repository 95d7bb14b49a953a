"""A real HAProxy with the product's configuration, before pods that only pretend."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import requests

from kotaemon_node.local import config, haproxy
from kotaemon_node.local.balancer import pods_in_use
from kotaemon_node.local.cluster import BLOCK_PORTS, Cluster
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.ports import choose_block, is_free

_STUB = Path(__file__).parent / "fakes" / "pod_stub.py"
_WAIT_S = 60.0


def wait_until(condition: Callable[[], bool], *, what: str, timeout_s: float = _WAIT_S) -> None:
    """Return when ``condition()`` holds; fail the test when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.02)


class BalancedPods:
    """HAProxy and ``count`` stub pods; a context manager that leaves nothing behind."""

    def __init__(self, path: Path, *, count: int, **balancer: Any) -> None:
        """``balancer``: fields of ``Cluster`` that differ from a plain one."""
        self.folder = DataFolder(path)
        self.folder.prepare()
        block = choose_block(BLOCK_PORTS + 1)
        self.cluster = Cluster(
            cluster_id="abcd1234",
            folder=str(path),
            first_port=block,
            port=block + BLOCK_PORTS,
            host="127.0.0.1",
            workers=count,
            redis_url="",
            **balancer,
        )
        self.url = self.cluster.url
        self._pods: dict[str, subprocess.Popen[bytes]] = {}
        self._haproxy: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for slot in range(self.cluster.workers):
            self.start(f"worker-{slot}")
        # HAProxy takes a pod for able until its first check: one that does not listen yet is used.
        wait_until(
            lambda: not any(map(is_free, self.cluster.worker_ports[: self.cluster.workers])),
            what="the pods listen",
        )
        self.start_balancer(expected=self.cluster.workers)
        self.wait_used(*self._pods)
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self._pods.values(), self._haproxy]:
            if process is not None:
                process.kill()
                process.wait()

    def start_balancer(self, *, expected: int, open_files_max: int = 4096) -> None:
        """Start HAProxy, which expects pods in the first slots; one that runs is killed before."""
        if self._haproxy is not None:
            self._haproxy.kill()
            self._haproxy.wait()
        cluster = replace(self.cluster, workers=expected)
        text = config.haproxy_config(cluster, open_files_max=open_files_max)
        self.folder.haproxy_config.write_text(text)
        for name, text in haproxy.scripts().items():
            (self.folder.path / name).write_text(text)
        with self.folder.log("haproxy").open("wb") as log:
            self._haproxy = subprocess.Popen(
                ["haproxy", "-db", "-f", self.folder.haproxy_config.name],
                cwd=self.folder.path,
                stdout=log,
                stderr=log,
            )

    def start(self, name: str) -> None:
        """Start a pod, perhaps again."""
        port = self.cluster.worker_ports[int(name.removeprefix("worker-"))]
        self._pods[name] = subprocess.Popen(
            [sys.executable, str(_STUB), name, str(port), str(self.folder.path)]
        )

    def wait_used(self, *names: str) -> None:
        """Return when HAProxy uses exactly these pods."""
        wait_until(lambda: pods_in_use(self.folder) == set(names), what=f"HAProxy uses {names}")

    def kill(self, name: str) -> None:
        """End a pod the hard way."""
        self._pods[name].kill()
        self._pods[name].wait()

    def wait_dead(self, name: str) -> None:
        """Return when a pod ended by itself."""
        self._pods[name].wait(timeout=_WAIT_S)

    def freeze(self, name: str) -> None:
        """Stop a pod's clock: its sockets accept, and nothing answers."""
        self._pods[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a frozen pod go on."""
        self._pods[name].send_signal(signal.SIGCONT)

    def drain(self, name: str) -> None:
        """Make a pod say that it is leaving."""
        (self.folder.path / f"{name}.draining").touch()

    def seen_by(self, name: str) -> list[dict[str, Any]]:
        """Return the requests that a pod read, oldest first."""
        journal = self.folder.path / f"{name}.jsonl"
        if not journal.exists():
            return []
        return [json.loads(line) for line in journal.read_text().splitlines()]

    def pod_of(self, session_id: str) -> str:
        """Return the pod that a session is sent to now."""
        response = requests.get(f"{self.url}/v1/sessions/{session_id}", timeout=5)
        return response.headers["X-Served-By"]

    def session_on(self, name: str) -> str:
        """Return the id of a session that is sent to this pod."""
        return next(sid for sid in map("s{}".format, range(1000)) if self.pod_of(sid) == name)
