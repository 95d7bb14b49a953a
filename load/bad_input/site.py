"""A real HAProxy with the product's configuration before one real pod that notes what it reads.

What HAProxy and the pod make of the same bytes must be the same. So the pod writes a line for each
request that it read, and gives the answer the line's number: an answer that bears none was the
balancer's own.
"""

import csv
import io
import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from kotaemon_node.domain.limits import CLIENT_STALL_S
from tests.balanced_pods import BalancedPods
from tests.scripted_pods import ScriptedPod

NUMBER = "x-request-number"
_JOURNAL = "requests.jsonl"
_SETTLE_S = 0.5


class Site:
    """HAProxy, a pod and what it noted; a context manager that leaves no process behind."""

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        *,
        settings: Mapping[str, str] | None = None,
        stall_s: float = CLIENT_STALL_S,
        **balancer: Any,
    ) -> None:
        """``balancer``: fields of ``kotaemon_node.local.cluster.Cluster``."""
        self._stack = ExitStack()
        self._journal = folder / _JOURNAL
        self._balanced = _Balancer(folder / "balancer", count=1, **balancer)
        self.cluster = self._balanced.cluster
        rpc = {"GRPC_PORT": str(self.cluster.grpc_ports[0])} if self.cluster.grpc_port else {}
        self.pod = ScriptedPod(
            folder,
            redis_url,
            name="worker-0",
            port=self.cluster.worker_ports[0],
            stall_s=stall_s,
            settings={
                "CLUSTER_ID": self.cluster.cluster_id,
                "REQUEST_JOURNAL": str(self._journal),
                **rpc,
                **(settings or {}),
            },
            application="tests.fakes.journaled_pod:app",
        )
        self.balancer_port = self.cluster.port
        self.pod_port = self.pod.port
        self.url = self._balanced.url

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.pod)
            stack.enter_context(self._balanced)
            self._balanced.wait_used("worker-0")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, *, after: int = 0) -> list[dict[str, Any]]:
        """Return what the pod read behind the first ``after`` requests, oldest first."""
        lines = self._journal.read_text("utf-8").splitlines() if self._journal.exists() else []
        return [json.loads(line) for line in lines[after:]]

    def passed(self) -> int:
        """Return how many requests the balancer has passed on, by its own count."""
        rows = csv.DictReader(io.StringIO(self._stats().removeprefix("# ")))
        return sum(
            int(row["stot"])
            for row in rows
            if (row["pxname"], row["svname"]) == ("workers", "worker-0")
        )

    def _stats(self) -> str:
        # A socket's path may only have 107 bytes; through the open folder it is always short.
        run = os.open(self._balanced.folder.run, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.connect(f"/proc/self/fd/{run}/haproxy.sock")
                connection.sendall(b"show stat -1 4 -1\n")
                with connection.makefile("rb") as answer:
                    return answer.read().decode()
        finally:
            os.close(run)

    def settled(self, *, after: int, passed: int | None) -> list[dict[str, Any]]:
        """Return ``read`` once the pod has come as far as it can.

        What the balancer began to pass on may be cut off by its client before the pod has it.
        """
        deadline = time.monotonic() + (_SETTLE_S if passed else 0)
        while len(found := self.read(after=after)) < (passed or 0) and time.monotonic() < deadline:
            time.sleep(0.005)
        return found


class _Balancer(BalancedPods):
    """Starts no pods: there is one."""

    def start(self, name: str) -> None:
        """The pod runs."""
