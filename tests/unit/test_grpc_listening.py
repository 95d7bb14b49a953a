"""A gRPC server that a caller ended is followed by another; what was under way is told."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from kotaemon_node.rpc import listening
from kotaemon_node.rpc.listening import Listening
from load.bad_input.http2 import END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame
from load.bad_input.rpc_wire import RawCaller, head
from tests import event_loops
from tests.fakes.grpc_pod import PATIENCE_S, until

_WHOLE = END_HEADERS | END_STREAM
# A method that is no UTF-8, which ends the loop of gRPC's server.
ENDS = PREFACE + frame(SETTINGS) + frame(HEADERS, head("/\xff"), flags=_WHOLE, stream=1)


class Told:
    """Servers with one method, whose calls end when ``ended`` is set."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def made(self) -> Any:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        methods = {"Tell": grpc.unary_stream_rpc_method_handler(self._tell)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", methods),))
        return server

    async def _tell(self, _: bytes, __: Any) -> AsyncIterator[bytes]:
        yield b"begun"
        await self.ended.wait()
        yield b"ended"


async def end(kept: Listening, port: int) -> None:
    """Have a caller end the server, and wait for the next."""
    before = kept.restarts

    def send() -> None:
        with RawCaller(port, begin=ENDS) as caller:
            caller.frames(within_s=0.05)

    await asyncio.to_thread(send)
    await until(lambda: kept.restarts == before + 1)


async def begun(channel: Any) -> Any:
    call = channel.unary_stream("/t.T/Tell")(b"", wait_for_ready=True)
    assert await call.read() == b"begun"
    return call


def test_it_listens_again_and_what_was_under_way_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(listening.tell_once)
        told = Told()
        kept = Listening(told.made)
        port = await kept.start("127.0.0.1:0")
        keeping = asyncio.create_task(kept.keep())
        async with asyncio.timeout(PATIENCE_S):
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                first = await begun(channel)
                await end(kept, port)
                second = await begun(channel)
                told.ended.set()
                assert [await first.read(), await second.read()] == [b"ended", b"ended"]
        keeping.cancel()
        await kept.stop()

    event_loops.run(run())
    assert "ended unasked" in caplog.text
    assert not [it for it in caplog.records if it.name == "asyncio" and it.levelno > logging.INFO]


def test_of_servers_that_ended_only_the_last_ones_are_heard_out() -> None:
    async def run() -> None:
        kept = Listening(Told().made)
        port = await kept.start("127.0.0.1:0")
        keeping = asyncio.create_task(kept.keep())
        async with asyncio.timeout(PATIENCE_S):
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                calls = []
                for _ in range(listening._ENDED_MAX + 1):
                    calls.append(await begun(channel))
                    await end(kept, port)
                with pytest.raises(grpc.aio.AioRpcError):
                    await calls[0].read()
                assert not any(call.done() for call in calls[1:])
        keeping.cancel()
        await kept.stop()

    event_loops.run(run())


def test_where_the_address_is_taken_meanwhile_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_BIND_S", 0.2)
    taken = socket.socket()

    def made() -> Any:
        """Return a server that has ended by the time it is looked at, its port another's."""

        class Ended:
            def add_insecure_port(self, address: str) -> int:
                if taken.getsockname()[1]:
                    raise RuntimeError("Failed to bind to address")
                taken.bind(("127.0.0.1", 0))
                return int(taken.getsockname()[1])

            async def start(self) -> None:
                """It listens."""

            async def wait_for_termination(self, _: float) -> None:
                raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

            async def stop(self, _: float | None) -> None:
                """It has ended."""

        return Ended()

    async def run() -> None:
        kept = Listening(made)
        await kept.start("127.0.0.1:0")
        with pytest.raises(RuntimeError, match="does not become free"):
            await kept.keep()
        await kept.stop()

    with taken:
        event_loops.run(run())
