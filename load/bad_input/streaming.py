"""A site whose pod streams over every door, and a neighbour who talks while others misbehave."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from kotaemon_node.domain.limits import CLIENT_STALL_S
from kotaemon_node.local.ports import choose_block, is_free
from load.bad_input.site import Site
from tests.balanced_pods import wait_until
from tests.socket_talk import hear_turn, say, text_of
from tests.speech import PHRASES

_RPC = "kotaemon_node.rpc.server"
_RESTARTED = "the gRPC server ended unasked"
_NEIGHBOURS_SCRIPT = json.dumps({"pieces": 3})
_PATIENCE_S = 60.0
# What a pod writes about trouble of its own; what clients do wrong is told on lower levels.
_TROUBLE = ('"level":"error"', '"level": "error"', "Traceback (most recent call last)", "[ERROR]")


class StreamingSite(Site):
    """HAProxy before one pod that talks by SSE, WebSocket, voice and gRPC."""

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        *,
        voice: bool = False,
        stall_s: float = CLIENT_STALL_S,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        speech = {"SPEECH_TO_TEXT": "offline", "TEXT_TO_SPEECH": "offline"}
        speech["SPEECH_PHRASES_FILE"] = str(PHRASES)
        self.rpc_balancer_port = choose_block(1)
        self._log_file = folder / "worker-0.log"
        super().__init__(
            folder,
            redis_url,
            stall_s=stall_s,
            settings={**(speech if voice else {}), **(settings or {})},
            grpc_port=self.rpc_balancer_port,
        )

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            wait_until(lambda: not is_free(self.rpc_pod_port), what="the pod speaks gRPC")
        except BaseException:
            self.__exit__()
            raise
        return self

    @property
    def rpc_pod_port(self) -> int:
        return self.cluster.grpc_ports[0]

    def held(self) -> dict[str, Callable[[], int]]:
        """Return by process of the site what tells the bytes that it holds."""
        return {"pod": self.pod.rss_bytes, "gRPC": lambda: _rss(self.rpc_pid())}

    def rpc_pid(self) -> int:
        """Return the process that speaks gRPC for the pod."""
        for child in psutil.Process(self.pod.pid).children():
            if _RPC in child.cmdline():
                return child.pid
        raise AssertionError("the pod has no process for gRPC")

    def rpc_restarts(self) -> int:
        """Return how many servers of that process ended unasked, and were followed by another."""
        return self._log_file.read_text("utf-8", errors="replace").count(_RESTARTED)

    def trouble(self) -> list[str]:
        """Return the lines in which the pod, or a process of it, speaks of trouble of its own."""
        lines = self._log_file.read_text("utf-8", errors="replace").splitlines()
        return [line for line in lines if any(word in line for word in _TROUBLE)]


def _rss(pid: int) -> int:
    found: int = psutil.Process(pid).memory_info().rss
    return found


class Neighbour:
    """Talks on one connection through the balancer until the block ends; ``faults`` tell how."""

    def __init__(self, site: Site) -> None:
        self._url = f"{site.url.replace('http', 'ws', 1)}/ws/chat"
        self._ended = threading.Event()
        self._task = threading.Thread(target=self._run, daemon=True)
        self.turns = 0
        self.took_ms: list[float] = []
        self.faults: list[str] = []

    def __enter__(self) -> Self:
        self._task.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._task.join(2 * _PATIENCE_S)
        if not self.turns:
            self.faults.append("the neighbour had no turn")

    def told(self) -> dict[str, float]:
        """Return how it fared."""
        took = sorted(self.took_ms) or [0.0]
        found = {"p50_ms": took[len(took) // 2], "p99_ms": took[int(0.99 * (len(took) - 1))]}
        return {"turns": self.turns, **{name: round(ms, 1) for name, ms in found.items()}}

    def _run(self) -> None:
        try:
            with connect(self._url) as client:
                while not self._ended.is_set():
                    self._talk(client)
        except (WebSocketException, OSError, ValueError, AssertionError) as error:
            self.faults.append(f"the neighbour's conversation broke: {error!r}")

    def _talk(self, client: Any) -> None:
        began_s = time.monotonic()
        say(client, "message", text=_NEIGHBOURS_SCRIPT)
        frames = hear_turn(client)
        self.took_ms.append((time.monotonic() - began_s) * 1000)
        if frames[-1]["type"] != "done" or text_of(frames) != frames[-1]["answer"]:
            raise ValueError(f"the answer ended with {frames[-1]}")
        self.turns += 1
        self._ended.wait(0.05)
