"""The process that speaks gRPC for one pod: ``python -m kotaemon_node.rpc.server``.

It ends with the pod: its standard input is a pipe whose other end the pod holds, and the kernel
closes that whatever becomes of the pod. Where the pod is frozen, its turns fall silent here, too.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final

import grpc
import httpx2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from kotaemon_node.client.config import Config
from kotaemon_node.client.driving import AsyncWire, options_of
from kotaemon_node.client.steps import Broken, Request, Send
from kotaemon_node.domain import limits
from kotaemon_node.domain.client_address import Proxies
from kotaemon_node.rpc import kotaemon_pb2
from kotaemon_node.rpc.kotaemon_pb2_grpc import add_KotaemonServicer_to_server
from kotaemon_node.rpc.listening import Listening, tell_once
from kotaemon_node.rpc.reading import ReadMessages
from kotaemon_node.rpc.service import Service, server_options

LOOK_S: Final = 0.5
"""Between looks at the pod's readiness, as often as the balancer looks."""
LISTENING: Final = "listening"
"""Is written as a line when the port is bound."""
_NAME: Final = kotaemon_pb2.DESCRIPTOR.services_by_name["Kotaemon"].full_name


class RpcServer:
    """The gRPC server of one pod, reached at ``pod`` (an address with ``http://``)."""

    def __init__(
        self,
        pod: str,
        *,
        between: Proxies | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """``between``: who is believed in whose call one is; None: this machine alone.

        ``transport``: for tests, in place of the network.
        """
        config = Config(endpoint=pod, retries=0, timeout=limits.GRPC_POD_SILENCE_S * 1000)
        # No proxy of the environment stands between a pod and the process beside it.
        self._http = httpx2.AsyncClient(
            **{**options_of(config), "limits": httpx2.Limits(max_connections=None)},
            trust_env=False,
            transport=transport,
        )
        self._service = Service(self._http, config, between or Proxies.of(""))
        self._health = health_aio.HealthServicer()
        self._listening = Listening(self._made)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, address: str) -> int:
        """Listen at ``address`` and return the port; raises ``RuntimeError`` where it is taken."""
        await self._tell(ready=False)
        port = await self._listening.start(address)
        self._tasks = [asyncio.create_task(it) for it in (self._listening.keep(), self._look())]
        return port

    async def wait(self) -> None:
        """Wait for what ends it unasked, and raise that."""
        await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """End every call at once."""
        for task in self._tasks:
            task.cancel()
        await self._listening.stop()
        await self._http.aclose()

    def _made(self) -> Any:
        options = server_options(
            message_bytes_max=limits.GRPC_MESSAGE_BYTES_MAX,
            streams_max=limits.GRPC_STREAMS_PER_CONNECTION_MAX,
        )
        server = grpc.aio.server(
            options=options,
            interceptors=(ReadMessages(),),
            maximum_concurrent_rpcs=limits.GRPC_CALLS_PER_POD_MAX,
        )
        add_KotaemonServicer_to_server(self._service, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        known = (_NAME, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*known, reflection.SERVICE_NAME), server)
        return server

    async def _look(self) -> None:
        """Have the health service say what ``/readyz`` says."""
        while True:
            answer: Any = await AsyncWire(self._http).do(Send(Request("GET", "/readyz")))
            await self._tell(ready=not isinstance(answer, Broken) and answer.status == 200)
            await asyncio.sleep(LOOK_S)

    async def _tell(self, *, ready: bool) -> None:
        statuses = health_pb2.HealthCheckResponse.ServingStatus
        status = statuses.SERVING if ready else statuses.NOT_SERVING
        for name in ("", _NAME):
            await self._health.set(name, status)


async def _serve(address: str, pod: str, between: Proxies) -> None:
    server = RpcServer(pod, between=between)
    await server.start(address)
    sys.stdout.write(f"{LISTENING}\n")
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(tell_once)
    # Once the pod is gone nobody is to wait for what cannot be finished here.
    loop.add_reader(sys.stdin.fileno(), os._exit, 0)
    # A process that serves no more ends, so that the pod starts another.
    await server.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the pod ends."""
    parser = argparse.ArgumentParser(prog="python -m kotaemon_node.rpc.server")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT")
    parser.add_argument("--pod", required=True, metavar="HOST:PORT")
    parser.add_argument("--balancers", default="", metavar="NETWORKS")
    parser.add_argument("--proxies", default="", metavar="NETWORKS")
    wanted = parser.parse_args(arguments)
    # Whoever stops the pod may tell its whole group; the pod decides when this one ends.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    between = Proxies.of(wanted.balancers, wanted.proxies)
    asyncio.run(_serve(wanted.listen, f"http://{wanted.pod}", between))


if __name__ == "__main__":
    main()
