"""Callers of gRPC that send no message, or take none: they are told so, or cut off."""

import asyncio
from typing import Any

import grpc
import httpx2
import pytest

from kotaemon_node.client.config import Config
from kotaemon_node.client.driving import options_of
from kotaemon_node.domain.client_address import Proxies
from kotaemon_node.rpc.asked import asked_of
from kotaemon_node.rpc.service import Service
from tests import event_loops
from tests.fakes.grpc_pod import PATIENCE_S, asking, served, speaking
from tests.fakes.services import FakeCluster

Status = grpc.StatusCode


async def answered(channel: grpc.aio.Channel, method: str, raw: bytes) -> None:
    """Send these bytes to a method and wait for its end."""
    if method.endswith("Info"):
        call: Any = channel.stream_stream(method)(iter([raw]))
    elif method.endswith(("Stream", "Watch")):
        call = channel.unary_stream(method)(raw)
    else:
        await channel.unary_unary(method)(raw)
        return
    async for _ in call:
        """What comes before is of no interest."""


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        ("/kotaemon.v1.Kotaemon/Generate", b"\xff\xff\xff"),
        ("/kotaemon.v1.Kotaemon/Generate", b"\x0a\x02\xff\xfe"),  # a text that is no UTF-8
        ("/kotaemon.v1.Kotaemon/GenerateStream", b"\x0a\x7fcut"),
        ("/grpc.health.v1.Health/Check", b"\xff"),
        ("/grpc.health.v1.Health/Watch", b"\xff"),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", b"\xff"),
    ],
    ids=["wire", "utf8", "cut", "health", "watch", "reflection"],
)
def test_bytes_that_are_no_message_are_the_callers_fault(method: str, raw: bytes) -> None:
    async def run() -> grpc.aio.AioRpcError:
        async with speaking(FakeCluster()) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                async with asyncio.timeout(PATIENCE_S):
                    await answered(channel, method, raw)
            return error.value

    error = event_loops.run(run())
    assert error.code() is Status.INVALID_ARGUMENT
    assert "kotaemon.proto" in error.details()
    assert dict(error.trailing_metadata())["kotaemon-code"] == "malformed"


def test_a_blank_credential_is_none() -> None:
    asked = asked_of(asking(), [("x-api-key", "  "), ("authorization", " Bearer a ")])

    assert asked.headers == {"authorization": "Bearer a"}


def test_who_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kotaemon_node.domain.limits.CLIENT_STALL_S", 0.05)

    class Stuck:
        """A call whose caller opens no window."""

        written = 0
        aborted: Status | None = None

        def peer(self) -> str:
            return "unix:"

        def invocation_metadata(self) -> list[tuple[str, str]]:
            return []

        async def send_initial_metadata(self, _: object) -> None:
            """It was told."""

        async def write(self, _: object) -> None:
            self.written += 1
            await asyncio.Event().wait()

        async def abort(self, status: Status, *_: object) -> None:
            self.aborted = status
            await asyncio.Event().wait()

    stuck = Stuck()

    async def run() -> None:
        with served(FakeCluster().client(streams_max=50).application) as pod:
            config = Config(endpoint=pod, retries=0)
            async with httpx2.AsyncClient(**options_of(config)) as http:
                service = Service(http, config, Proxies.of(""))
                with pytest.raises(TimeoutError):
                    await service.GenerateStream(asking(session_id="s", turn_id="t"), stuck)

    event_loops.run(run())
    assert stuck.written == 1
    assert stuck.aborted is Status.UNAVAILABLE
