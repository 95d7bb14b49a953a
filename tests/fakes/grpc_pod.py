"""A gRPC server before a pod whose parts are fakes, in the loop of the test."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
from werkzeug.serving import make_server

from kotaemon_node.rpc.kotaemon_pb2 import GenerateRequest
from kotaemon_node.rpc.kotaemon_pb2_grpc import KotaemonStub
from kotaemon_node.rpc.server import RpcServer
from tests.fakes.services import FakeCluster

PATIENCE_S = 60.0


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an application on a port of its own."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@asynccontextmanager
async def speaking(cluster: FakeCluster) -> AsyncIterator[grpc.aio.Channel]:
    """Give a channel to a gRPC server whose pod has these parts."""
    with served(cluster.client(streams_max=50).application) as pod:
        server = RpcServer(pod)
        port = await server.start("127.0.0.1:0")
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield channel
        finally:
            await server.stop()


def stub(channel: Any) -> Any:
    return KotaemonStub(channel)


def asking(text: str = "How long?", *history: Any, **metadata: str) -> GenerateRequest:
    return GenerateRequest(input=text, history=history, metadata=metadata)


async def until(condition: Any) -> None:
    """Wait until ``condition()`` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


def without_empties(value: Any) -> Any:
    """Return ``value`` without None and what is empty: protobuf has no words for them."""
    if isinstance(value, dict):
        pairs = {name: without_empties(one) for name, one in value.items()}
        return {name: one for name, one in pairs.items() if one is not None and one not in ([], {})}
    return [without_empties(one) for one in value] if isinstance(value, list) else value
