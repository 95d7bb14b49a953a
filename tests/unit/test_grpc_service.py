"""gRPC in process: real client, real server, a pod of fakes behind it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from kotaemon_node.api.errors import ERRORS
from kotaemon_node.client.errors import Refused
from kotaemon_node.domain.errors import Draining, Gone, LanguageModelError, Overloaded
from kotaemon_node.domain.turn import State
from kotaemon_node.rpc.errors import STATUSES, status_of
from kotaemon_node.rpc.frames import frame_fields
from kotaemon_node.rpc.kotaemon_pb2 import Message
from kotaemon_node.rpc.server import RpcServer
from tests import event_loops
from tests.fakes.grpc_pod import PATIENCE_S, asking, speaking, stub, until, without_empties
from tests.fakes.services import ANSWER, FakeCluster

Status = grpc.StatusCode


def within(cluster: FakeCluster, test: Callable[[Any], Any]) -> Any:
    """Run ``test(channel)`` in a loop of its own."""

    async def run() -> Any:
        async with speaking(cluster) as channel:
            return await test(channel)

    return event_loops.run(run())


def test_a_message_is_answered_with_its_sources() -> None:
    cluster = FakeCluster()

    async def test(channel: Any) -> None:
        request = asking(session_id="s", turn_id="t", kb="shop", intent_filter="a, b")
        answer = await stub(channel).Generate(request, metadata=[("x-trace-id", "ab" * 16)])
        assert answer.output == ANSWER
        assert (answer.session_id, answer.turn_id, answer.state) == ("s", "t", "done")
        assert answer.trace_id == "ab" * 16
        (source,) = answer.sources
        assert (source.n, source.span.end > source.span.start) == (1, True)
        assert source.document

    within(cluster, test)
    (asked,) = cluster.turns.submitted
    assert asked.options == {"kb": "shop", "intent_filter": ["a", "b"]}


def test_a_session_is_made_once_for_a_turn_and_begins_with_its_history() -> None:
    cluster = FakeCluster()
    said = [Message(role="user", content="Hi"), Message(role="assistant", content="Hello")]

    async def test(channel: Any) -> list[str]:
        answers = [
            await stub(channel).Generate(asking("And?", *said, turn_id=turn_id, user="u"))
            for turn_id in ("t1", "t1", "t2")
        ]
        named = asking("And?", *said, session_id="mine")
        answers.append(await stub(channel).Generate(named))
        return [answer.session_id for answer in answers]

    first, again, other, named = within(cluster, test)
    assert first == again != other
    assert named == "mine"
    views = {key.session_id: view for key, view in cluster.sessions.views.items()}
    assert views.keys() == {first, other, "mine"}
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert [view.context for view in views.values()] == [{"history": history}] * 3
    assert views[first].user_id == "u"
    assert len(cluster.turns.submitted) == 3


def test_a_stream_has_the_frames_that_http_has_and_goes_on_behind_any_of_them() -> None:
    cluster = FakeCluster()

    async def test(channel: Any) -> tuple[list[Any], list[Any]]:
        request = asking(session_id="s", turn_id="t")
        call = stub(channel).GenerateStream(request)
        frames = [frame async for frame in call]
        assert dict(await call.initial_metadata())["x-turn-id"] == "t"
        rest = stub(channel).GenerateStream(asking(session_id="s", turn_id="t", after="3"))
        return frames, [frame async for frame in rest]

    frames, rest = within(cluster, test)
    shown = cluster.client().get("/v1/sessions/s/turns/t/stream").text
    raw = [json.loads(line[5:]) for line in shown.splitlines() if line.startswith("data:")]
    assert [frame_fields(frame) for frame in frames] == [without_empties(one) for one in raw]
    assert [frame.seq for frame in rest] == [4, 5]
    assert {frame.session_id for frame in frames} == {"s"}


async def refused(call: Any) -> tuple[Any, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await asyncio.wait_for(call, PATIENCE_S)
    return failure.value.code(), dict(failure.value.trailing_metadata())


def test_every_error_code_has_a_status() -> None:
    assert {row.status for row in ERRORS.values()} <= STATUSES.keys()
    for code, row in ERRORS.items():
        told = status_of(Refused("", code=code, status=row.status))
        assert (told is Status.UNAVAILABLE) == (row.status == 503), code
        assert (told is Status.INTERNAL) == (row.status in {500, 502}), code
    assert status_of(Refused("", code="session_busy", status=409)) is Status.ABORTED


@pytest.mark.parametrize(
    ("refusal", "status", "code", "retryable"),
    [
        (Draining("leaving"), Status.UNAVAILABLE, "draining", "true"),
        (Overloaded("full"), Status.RESOURCE_EXHAUSTED, "overloaded", "true"),
        (Gone("lost"), Status.FAILED_PRECONDITION, "gone", "false"),
        (LanguageModelError("silent"), Status.INTERNAL, "language_model_failed", "true"),
        (ZeroDivisionError(), Status.INTERNAL, "internal", "false"),
    ],
)
def test_a_refusal_is_a_status_and_says_its_code(
    refusal: Exception, status: Any, code: str, retryable: str
) -> None:
    cluster = FakeCluster()
    cluster.turns.refusal = refusal
    told, more = within(
        cluster, lambda channel: refused(stub(channel).Generate(asking(session_id="s")))
    )
    assert told is status
    assert (more["kotaemon-code"], more["kotaemon-retryable"]) == (code, retryable)
    assert len(more["kotaemon-trace-id"]) == 32


@pytest.mark.parametrize(
    "metadata",
    [
        {"session_id": "a/b"},
        {"turn_id": "é"},
        {"turn_id": "a\nb"},
        {"turn_id": "a\nb", "session_id": "s"},
        {"turn_id": "x" * 129},
        {"after": "x"},
        {"on_leave": "x"},
        {"min_generation": "-1"},
    ],
)
def test_what_cannot_be_meant_is_refused(metadata: dict[str, str]) -> None:
    told, _ = within(
        FakeCluster(), lambda channel: refused(stub(channel).Generate(asking(**metadata)))
    )
    assert told is Status.INVALID_ARGUMENT


@pytest.mark.parametrize("metadata", [{}, {"session_id": "s"}])
def test_a_pod_that_does_not_answer_is_not_named_by_its_address(metadata: dict[str, str]) -> None:
    async def test() -> str:
        server = RpcServer("http://127.0.0.1:9")  # where nobody listens
        port = await server.start("127.0.0.1:0")
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                with pytest.raises(grpc.aio.AioRpcError) as failure:
                    await asyncio.wait_for(stub(channel).Generate(asking(**metadata)), PATIENCE_S)
        finally:
            await server.stop()
        assert failure.value.code() is Status.UNAVAILABLE
        return str(failure.value.details())

    told = event_loops.run(test())
    assert told.startswith("the pod does not answer")
    assert "127.0.0.1" not in told


def test_a_failed_turn_ends_its_stream_with_a_status_behind_its_error_frame() -> None:
    cluster = FakeCluster()
    cluster.turns.pauses = {3: [Gone("the store has lost it")]}

    async def test(channel: Any) -> None:
        call = stub(channel).GenerateStream(asking(session_id="s"))
        frames = [await call.read() for _ in range(3)]
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await to_its_end(call)
        assert failure.value.code() is Status.FAILED_PRECONDITION
        assert [frame.type for frame in frames] == ["status", "source", "error"]
        assert frames[-1].error.code == "gone"

    within(cluster, test)


def test_keys_let_in_as_over_http() -> None:
    cluster = FakeCluster().with_keys() if hasattr(FakeCluster, "with_keys") else None
    cluster = cluster or replace(FakeCluster(), auth_mode="keys")

    async def test(channel: Any) -> None:
        told, _ = await refused(stub(channel).Generate(asking()))
        assert told is Status.UNAUTHENTICATED
        metadata = [("authorization", "Bearer wrong")]
        told, _ = await refused(stub(channel).Generate(asking(), metadata=metadata))
        assert told is Status.UNAUTHENTICATED

    within(cluster, test)


def waiting(cluster: FakeCluster) -> None:
    """Have turns never end: heartbeats come instead of their third frame."""

    def heartbeats() -> Any:
        import time

        while True:
            time.sleep(0.02)
            yield None

    cluster.turns.pauses = {3: heartbeats()}
    cluster.turns.ending = {"state": State.RUNNING}


NAMED = {"session_id": "s", "turn_id": "t"}


@pytest.mark.parametrize(
    ("how", "metadata", "ends"),
    [
        ("deadline", {"session_id": "s"}, True),
        ("cancel", {"session_id": "s"}, True),
        ("cancel", NAMED, False),
        ("cancel", {**NAMED, "on_leave": "cancel"}, True),
    ],
)
def test_who_leaves_ends_the_turn_that_nobody_can_come_back_to(
    how: str, metadata: dict[str, str], ends: bool
) -> None:
    cluster = FakeCluster()
    waiting(cluster)

    async def test(channel: Any) -> None:
        timeout = 2.0 if how == "deadline" else None
        call = stub(channel).GenerateStream(asking(**metadata), timeout=timeout)
        assert (await call.read()).type == "status"
        if how == "cancel":
            call.cancel()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await to_its_end(call)
        assert call.done()
        await until(lambda: cluster.turns.closed == 1)
        if ends:
            await until(lambda: State.CANCELLED in states(cluster))
        else:
            await asyncio.sleep(0.3)
            assert states(cluster) == {State.RUNNING}

    within(cluster, test)


async def to_its_end(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


def states(cluster: FakeCluster) -> set[State]:
    return {turn.state for turn in cluster.sessions.running.values()}


def test_health_says_what_readiness_says() -> None:
    cluster = FakeCluster()

    async def test(channel: Any) -> None:
        health = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.ServingStatus
        wanted = serving.SERVING if ready(cluster) else serving.NOT_SERVING
        for name in ("", "kotaemon.v1.Kotaemon"):
            request = health_pb2.HealthCheckRequest(service=name)

            async def told(request: Any = request) -> Any:
                return (await health.Check(request)).status

            async with asyncio.timeout(PATIENCE_S):
                while await told() != wanted:
                    await asyncio.sleep(0.05)

    within(cluster, test)


def ready(cluster: FakeCluster) -> bool:
    return cluster.client().get("/readyz").status_code == 200


def test_reflection_tells_the_services() -> None:
    async def test(channel: Any) -> None:
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]))
        told = await call.read()
        names = {one.name for one in told.list_services_response.service}
        assert names >= {"kotaemon.v1.Kotaemon", "grpc.health.v1.Health"}

    within(FakeCluster(), test)


def test_a_message_that_is_too_large_is_refused() -> None:
    async def test(channel: Any) -> None:
        told, _ = await refused(stub(channel).Generate(asking("x" * 2_000_000)))
        assert told is Status.RESOURCE_EXHAUSTED
        told, _ = await refused(stub(channel).Generate(asking("x" * 40_000, session_id="s")))
        assert told is Status.INVALID_ARGUMENT

    within(FakeCluster(), test)


def test_the_code_is_as_the_proto_says(tmp_path: Path) -> None:
    from scripts.grpc_code import GENERATED, make

    root = Path(__file__).parents[2]
    make(root, tmp_path)
    for name in GENERATED:
        kept = root / "kotaemon_node" / "rpc" / name
        assert kept.read_text() == (tmp_path / "kotaemon_node" / "rpc" / name).read_text()


def test_a_pod_without_a_port_of_its_own_for_it_loads_nothing_of_grpc() -> None:
    code = (
        "import sys, kotaemon_node.bootstrap, kotaemon_node.server.grpc_child\n"
        "assert not {'grpc', 'kotaemon_node.rpc', 'httpx2'} & sys.modules.keys(), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
