"""gRPC and the Python client through the balancer, with a model that speaks for some seconds.

A killed pod is not noticed by the client; over gRPC the same request again goes on with the turn.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
import websockets.sync.client
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kotaemon_node.client import Client, Restart, Text
from kotaemon_node.local.ports import choose_block
from kotaemon_node.rpc.frames import frame_fields
from kotaemon_node.rpc.kotaemon_pb2 import GenerateRequest
from kotaemon_node.rpc.kotaemon_pb2_grpc import KotaemonStub
from tests.cluster import Cluster
from tests.fakes.grpc_pod import without_empties
from tests.fakes.llm_server import FakeLlmServer

QUESTION = "How long does standard delivery to Singapore take, and what does express cost?"
TRIES = 60


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Any]]:
    """Run two workers that speak gRPC, and give a channel to their balancer."""
    port = choose_block(1)
    with (
        FakeLlmServer(first_ms=50, token_ms=40, tokens_min=80) as model,
        Cluster(
            tmp_path_factory.mktemp("grpc") / "data",
            workers=2,
            environment={
                "GRPC_PORT": str(port),
                "LLM_BASE_URL": model.base_url,
                "LLM_CONTINUE": "vllm",
            },
        ) as running,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield running, channel


def kill_owner(cluster: Cluster, client: Client, session_id: str, turn_id: str) -> str:
    """Kill the pod that executes the turn, which has not ended."""
    turn = client.turn(session_id, turn_id)
    assert turn.state == "running"
    owner: str = turn.raw["owner"].partition(".")[0]
    os.kill(cluster.pid(owner), signal.SIGKILL)
    return owner


@pytest.mark.long  # kills pods of a cluster
def test_a_killed_pod_is_not_noticed_by_the_python_client(speaking: tuple[Cluster, Any]) -> None:
    cluster, _ = speaking
    client = Client(endpoint=cluster.url)
    for turn_id in ("t1", "t2"):
        session = client.create_session()
        stream = client.stream_message(session, QUESTION, turn_id=turn_id)
        shown, killed, seqs = "", "", []
        for frame in stream:
            seqs.append(frame.seq)
            if isinstance(frame, Restart):
                shown = ""
            elif isinstance(frame, Text):
                assert frame.offset == len(shown)
                shown += frame.content
                killed = killed or kill_owner(cluster, client, session.id, turn_id)
        assert killed
        assert shown == stream.answer().response
        assert seqs == list(range(1, len(seqs) + 1))
        assert [turn.response for turn in client.session(session).turns] == [shown]
        assert client.turn(session, turn_id).raw["attempts"] == 2
        cluster.wait_ready()


# A stream that the balancer had begun to pass on has no status where its pod died.
GONE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN}


def again(call: Any, *, told: list[str]) -> Any:
    """Return what ``call()`` gives, tried again as callers are to while a pod is gone."""
    for _ in range(TRIES):
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() not in GONE:
                raise
            told.append(error.details())
            time.sleep(0.5)
    raise AssertionError(f"no try succeeded: {told}")


@pytest.mark.long  # a cluster of its own, and a kill
def test_a_turn_goes_on_behind_the_same_request(speaking: tuple[Cluster, Any]) -> None:
    cluster, channel = speaking
    stub, client = KotaemonStub(channel), Client(endpoint=cluster.url)
    health = health_pb2_grpc.HealthStub(channel)
    told: list[str] = []
    checked = again(lambda: health.Check(health_pb2.HealthCheckRequest()), told=told)
    assert checked.status == health_pb2.HealthCheckResponse.SERVING

    request = GenerateRequest(
        input=QUESTION, metadata={"session_id": "s1", "turn_id": "t1", "channel": "grpc"}
    )
    metadata = [("x-session-id", "s1")]
    broken: list[str] = []
    shown: list[Any] = []

    def frames() -> list[Any]:
        shown.clear()
        for frame in stub.GenerateStream(request, metadata=metadata, timeout=60):
            shown.append(frame)
            if not broken and frame.type == "text":
                broken.append(kill_owner(cluster, client, "s1", "t1"))
        return list(shown)

    whole = again(frames, told=told)
    assert broken
    assert told, "the stream of a killed pod ends"
    assert [frame.seq for frame in whole] == list(range(1, len(whole) + 1))
    restarts = [at for at, frame in enumerate(whole) if frame.type == "restart"]
    begun = whole[restarts[-1] if restarts else 0 :]
    text = "".join(frame.text.content for frame in begun if frame.type == "text")
    assert text == whole[-1].done.answer == client.turn("s1", "t1").response
    assert text

    answer = again(lambda: stub.Generate(request, metadata=metadata, timeout=60), told=told)
    assert answer.output == text
    history = client.session("s1")
    assert len(history.turns) == 1
    assert history.raw["channel"] == "grpc"

    with requests.get(
        f"{cluster.url}/v1/sessions/s1/turns/t1/stream", stream=True, timeout=60
    ) as response:
        types = [line[7:].decode() for line in response.iter_lines() if line[:7] == b"event: "]
    assert types == [frame.type for frame in whole]
    assert [frame_fields(frame)["seq"] for frame in whole] == [
        frame.seq for frame in client.follow_turn("s1", "t1")
    ]


@pytest.mark.long  # as above
def test_the_process_of_a_killed_pod_ends_with_it(speaking: tuple[Cluster, Any]) -> None:
    cluster, _ = speaking
    cluster.wait_ready()
    pid = cluster.pid("worker-0")
    children = _children(pid, "kotaemon_node.rpc.server")
    assert len(children) == 1
    os.kill(pid, signal.SIGKILL)
    cluster.wait_until(lambda: not Path(f"/proc/{children[0]}").exists(), what="it ended")
    cluster.wait_ready()
    cluster.wait_until(
        lambda: len(_children(cluster.pid("worker-0"), "kotaemon_node.rpc.server")) == 1,
        what="the next one speaks gRPC",
    )


@pytest.mark.long  # as above
def test_a_turn_has_the_same_frames_behind_every_door(speaking: tuple[Cluster, Any]) -> None:
    cluster, channel = speaking
    cluster.wait_ready()
    client = Client(endpoint=cluster.url)
    asked = client.stream_message(client.create_session(), QUESTION, turn_id="t1")
    by_sdk = [dict(frame.raw) for frame in asked]
    sid = asked.session_id

    path = f"{cluster.url}/v1/sessions/{sid}/turns/t1/stream"
    shown = requests.get(path, timeout=60).text
    by_sse = [json.loads(line[5:]) for line in shown.splitlines() if line.startswith("data:")]
    request = GenerateRequest(input=QUESTION, metadata={"session_id": sid, "turn_id": "t1"})
    by_grpc = again(
        lambda: [frame_fields(it) for it in KotaemonStub(channel).GenerateStream(request)], told=[]
    )
    address = f"{cluster.url.replace('http', 'ws')}/ws/chat"
    by_websocket = []
    with websockets.sync.client.connect(address) as socket:
        resume = {"type": "resume", "session_id": sid, "turn_id": "t1", "after": 0}
        socket.send(json.dumps(resume))
        while not by_websocket or by_websocket[-1]["type"] != "done":
            frame = json.loads(socket.recv(timeout=60))
            if frame.get("seq"):
                by_websocket.append({k: v for k, v in frame.items() if k != "session_id"})

    assert by_sse == by_sdk == by_websocket
    assert by_grpc == [without_empties(one) for one in by_sse]
    assert {"status", "source", "text", "done"} <= {one["type"] for one in by_sse}


def _children(pid: int, module: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if parent == pid and module in command:
            found.append(int(folder.name))
    return found
