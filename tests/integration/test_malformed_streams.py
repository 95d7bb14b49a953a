"""What is wrong at the doors that stream is refused there, and no neighbour notices.

Short: a sample of each door. Long: all of it, in rounds, with the memory that they leave.
"""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kotaemon_node.rpc.kotaemon_pb2 import GenerateRequest
from load.bad_input import doors, streams
from load.bad_input.http2 import HEADERS
from load.bad_input.rpc_wire import GENERATE, RawCaller
from load.bad_input.streaming import StreamingSite
from tests.balanced_pods import wait_until
from tests.redis_server import RedisServer
from tests.unit.test_grpc_listening import ENDS

VOICE = "voice"
DOORS = tuple(streams.plays(Path()))
SAMPLE = ["", "\0", "\u202e", "Ω≈ç√∫", "';DROP TABLE users", "{{7*7}}", "../../etc/passwd", "%s%n"]


@pytest.fixture(scope="module")
def site(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StreamingSite]:
    folder = tmp_path_factory.mktemp("streams")
    with StreamingSite(folder, redis_server.url) as running:
        yield running


@pytest.fixture(scope="module")
def voiced(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StreamingSite]:
    folder = tmp_path_factory.mktemp("voiced")
    with StreamingSite(folder, redis_server.url, voice=True) as running:
        yield running


def asked(port: int) -> str:
    """Return the answer to a good call."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        question = GenerateRequest(input="hello").SerializeToString()
        told = channel.unary_unary(GENERATE)(question, timeout=30, wait_for_ready=True)
    return str(told)


def test_a_method_that_is_no_text_reaches_no_pod(site: StreamingSite) -> None:
    before = site.rpc_restarts()
    with RawCaller(site.rpc_balancer_port, begin=ENDS) as caller:
        heads: list[bytes] = []

        def refused() -> bool:
            found = caller.frames(within_s=0.05)
            heads.extend(it.payload for it in found if it.kind == HEADERS)
            return bool(heads)

        wait_until(refused, what="the balancer refuses the call")

    assert b"grpc-status\x0212" in heads[0]
    assert b"application/grpc" in heads[0]
    assert asked(site.rpc_balancer_port)
    assert site.rpc_restarts() == before


def test_one_that_does_ends_no_service(site: StreamingSite) -> None:
    process, before = site.rpc_pid(), site.rpc_restarts()
    with RawCaller(site.rpc_pod_port, begin=ENDS):
        wait_until(lambda: site.rpc_restarts() == before + 1, what="another server follows")

    assert asked(site.rpc_pod_port)
    assert asked(site.rpc_balancer_port)
    assert site.rpc_pid() == process
    assert site.trouble() == []


@pytest.mark.parametrize("door", [it for it in DOORS if it != VOICE])
def test_a_sample_is_refused_and_no_neighbour_notices(site: StreamingSite, door: str) -> None:
    play = streams.plays(Path())[door]
    found = streams.played(site, play, SAMPLE, count=4, rounds=1, freed=False)

    assert found["faults"] == []


@pytest.mark.long
@pytest.mark.parametrize("door", DOORS)
def test_all_of_it_is_refused_and_leaves_no_memory(
    request: pytest.FixtureRequest, public_data: Path, door: str
) -> None:
    site = request.getfixturevalue("voiced" if door == VOICE else "site")
    texts = doors.texts(public_data)[::5]
    found = streams.played(site, streams.plays(public_data)[door], texts, count=60, rounds=2)

    print(found)
    assert found["faults"] == []
