"""The pod's side of its gRPC process: starts it, starts it anew when it ends, ends with it never.

A process of its own, because gRPC's core brings threads and a loop of its own, and the pod's loop
must stay punctual (docs/adr/0034-grpc.md). A pod without ``GRPC_PORT`` imports nothing of it.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import Final

import structlog

from kotaemon_node.ports.runtime import Clock, Tasks

_PAUSE_S: Final = 1.0

_log = structlog.get_logger(__name__)


class GrpcChild:
    """Keeps a process at ``host:port`` that speaks gRPC for the pod at ``pod_address``."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        pod_address: str,
        balancers: str = "",
        proxies: str = "",
        clock: Clock,
        draining: Callable[[], bool],
    ) -> None:
        """``balancers``, ``proxies``: networks, as ``domain.client_address`` takes them."""
        self._command = [
            sys.executable, "-m", "kotaemon_node.rpc.server",
            "--listen", f"{host}:{port}", "--pod", pod_address,
            "--balancers", balancers, "--proxies", proxies,
        ]  # fmt: skip
        self._clock = clock
        self._draining = draining
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, tasks: Tasks) -> None:
        """Keep it running beside the caller, until the pod leaves."""
        tasks.spawn("grpc", self._keep)

    def _keep(self) -> None:
        while not self._draining():
            # The pipe is the tie: its other end is closed when this process ends, however it does.
            try:
                process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
            except OSError as error:
                # No memory, or no file or process free: of this moment, not of the pod's life.
                _log.error("grpc_not_started", reason=str(error))
                self._clock.sleep(_PAUSE_S)
                continue
            self.process = process
            _log.info("grpc_started", pid=process.pid)
            status = process.wait()
            if not self._draining():
                _log.warning("grpc_ended", status=status)
                self._clock.sleep(_PAUSE_S)
