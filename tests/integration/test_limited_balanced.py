"""Limits behind the balancer: by the client's address at every door, and changed meanwhile.

The balancer is told that 127.0.0.1 is a proxy whose word it takes; other addresses of this machine
are strangers.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as websocket

from kotaemon_node.local.ports import choose_block
from kotaemon_node.rpc.kotaemon_pb2 import GenerateRequest
from kotaemon_node.rpc.kotaemon_pb2_grpc import KotaemonStub
from tests.balanced_pods import BalancedPods
from tests.redis_server import RedisServer
from tests.relay import Relay
from tests.scripted_pods import ScriptedPod, until

pytestmark = pytest.mark.long  # three pods, their gRPC and their balancer

ANN, BOB, STRANGER, ANYBODY = "203.0.113.7", "203.0.113.8", "127.0.0.2", "198.51.100.9"
FORWARDED = "x-forwarded-for"
WORKERS = ("worker-0", "worker-1", "worker-2")


class ScriptedPods(BalancedPods):
    """Pods whose answers are scripted, and all else is the product's, behind its balancer."""

    def __init__(self, path: Path, *, redis_url: str, **balancer: Any) -> None:
        super().__init__(path, count=len(WORKERS), **balancer)
        self.file = path / "limits.json"
        self.file.write_text("{}")
        self.pods: dict[str, ScriptedPod] = {}
        self._redis_url = redis_url

    def start(self, name: str) -> None:
        slot = WORKERS.index(name)
        settings = {
            "CLUSTER_ID": self.cluster.cluster_id,
            "GRPC_PORT": str(self.cluster.grpc_ports[slot]),
            "LIMITS_FILE": str(self.file),
            "LIMIT_BY_ADDRESS": "true",
            "TRUSTED_PROXIES": self.cluster.trusted_proxies,
        }
        port = self.cluster.worker_ports[slot]
        pod = ScriptedPod(
            self.folder.path, self._redis_url, name=name, port=port, settings=settings
        )
        self.pods[name] = pod.__enter__()

    def wait_used(self, *_: str) -> None:
        super().wait_used(*WORKERS)

    def __enter__(self) -> Self:
        try:
            return super().__enter__()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for pod in self.pods.values():
            pod.__exit__()


class Limited:
    """Pods behind their balancer, and their table of limits."""

    def __init__(self, running: ScriptedPods, grpc_port: int) -> None:
        self.running, self.file, self.grpc_port = running, running.file, grpc_port
        self.url, self.port = running.url, running.cluster.port

    def limit(self, **principal: float) -> float:
        """Change what each principal may, and return after how long all pods had it."""
        self.replace({"principal": principal})
        return self.until(principal.get("requests_per_minute"), ANYBODY)

    def replace(self, table: dict[str, Any]) -> None:
        """Change the table in one step."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(table))
        os.replace(new, self.file)

    def until(self, wanted: float | None, address: str) -> float:
        return until(
            lambda: all(self.limits(name, address).get("requests") == wanted for name in WORKERS),
            what=f"all pods let {address} have {wanted} requests",
        )

    def limits(self, name: str, address: str = ANYBODY) -> dict[str, float]:
        """Return the limits of one that a pod knows."""
        url = f"{self.running.pods[name].url}/v1/limits"
        said = requests.get(url, headers={FORWARDED: address}, timeout=30).json()
        return {row["name"]: row["limit"] for row in said["limits"]}

    def used(self, name: str, address: str) -> float:
        url = f"{self.running.pods[name].url}/v1/limits"
        said = requests.get(url, headers={FORWARDED: address}, timeout=30).json()
        return sum(row["used"] for row in said["limits"] if row["name"] == "requests")

    def get(self, address: str, path: str = "/v1/sessions") -> requests.Response:
        """Ask as a proxy that is believed does for a client."""
        return requests.get(f"{self.url}{path}", headers={FORWARDED: address}, timeout=60)

    @contextmanager
    def stub(self, port: int = 0) -> Iterator[Any]:
        with grpc.insecure_channel(f"127.0.0.1:{port or self.grpc_port}") as channel:
            yield KotaemonStub(channel)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    grpc_port, server = choose_block(1), RedisServer()
    server.start()
    try:
        with ScriptedPods(
            tmp_path_factory.mktemp("limited"),
            redis_url=server.url,
            grpc_port=grpc_port,
            trusted_proxies="127.0.0.1/32",
        ) as running:
            yield Limited(running, grpc_port)
    finally:
        server.remove()


def ask(stub: Any, address: str, turn: str) -> Any:
    """Ask by gRPC in a session that is there: one request."""
    request = GenerateRequest(
        input="How long is the warranty?", metadata={"session_id": f"s-{turn}", "turn_id": turn}
    )
    return stub.Generate(request, metadata=[(FORWARDED, address)], timeout=60)


def assert_exhausted(call: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, refused.value
    told = dict(refused.value.trailing_metadata())
    assert told["kotaemon-code"] == "rate_limited"
    assert int(told["grpc-retry-pushback-ms"]) == 1_000 * int(told["retry-after"]) > 0


def test_each_client_of_a_proxy_counts_by_its_address_at_every_door(limited: Limited) -> None:
    limited.limit(requests_per_minute=3)
    with limited.stub() as stub:
        assert limited.get(ANN).status_code == 200
        for turn in ("g1", "g2"):
            assert ask(stub, ANN, turn).output

        assert {limited.used(name, ANN) for name in WORKERS} == {3}
        assert_exhausted(lambda: ask(stub, ANN, "g3"))
        refused = limited.get(ANN)
        assert refused.status_code == 429
        assert refused.headers["RateLimit"].startswith('"requests";r=0;t=')
        assert int(refused.headers["Retry-After"]) >= 1
        with pytest.raises(InvalidStatus) as handshake:
            websocket(
                f"{limited.url.replace('http', 'ws', 1)}/ws/chat",
                additional_headers={FORWARDED: ANN},
            )
        assert handshake.value.response.status_code == 429
        assert {limited.used(name, ANN) for name in WORKERS} == {3}

        assert ask(stub, BOB, "g4").output
        assert limited.get(BOB).status_code == 200


def test_a_stranger_does_not_choose_its_address(limited: Limited) -> None:
    limited.limit(requests_per_minute=4)
    http, rpc = (Relay(port, source=STRANGER) for port in (limited.port, limited.grpc_port))
    with limited.stub(rpc.port) as stub:
        for number in range(2):
            assert ask(stub, f"203.0.113.{100 + number}", f"f{number}").output
            url = f"http://127.0.0.1:{http.port}/v1/sessions"
            forged = {FORWARDED: f"203.0.113.{110 + number}"}
            assert requests.get(url, headers=forged, timeout=60).status_code == 200

        assert_exhausted(lambda: ask(stub, "203.0.113.120", "f2"))
    assert limited.used("worker-0", STRANGER) == 4
    assert limited.used("worker-0", "203.0.113.100") == 0
    http.cut()
    rpc.cut()


def test_a_changed_table_counts_on_every_pod_and_none_starts_anew(limited: Limited) -> None:
    limited.limit(requests_per_minute=50)
    pids = [limited.running.pods[name].pid for name in WORKERS]
    client = "198.51.100.20"
    for _ in range(6):
        assert limited.get(client).status_code == 200

    limited.limit(requests_per_minute=7)

    # What was used stays used: one is left, whichever pod is asked.
    assert [limited.get(client).status_code for _ in range(3)] == [200, 429, 429]
    rows = {f"address:{client}": {"requests_per_minute": 9}}
    limited.replace({"tenants": {"default": {"principals": rows}}})
    limited.until(9, client)
    assert [limited.get(client).status_code for _ in range(3)] == [200, 200, 429]
    limited.replace({})
    limited.until(None, client)
    assert limited.get(client).status_code == 200
    assert [limited.running.pods[name].pid for name in WORKERS] == pids


def test_a_table_that_is_wrong_changes_nothing_and_is_logged(limited: Limited) -> None:
    limited.limit(requests_per_minute=11)

    limited.file.write_text('{"principal": {"requests": 1}}')

    def told() -> bool:
        asked = [limited.limits(name) for name in WORKERS]  # a pod looks when it is asked
        logs = [limited.running.pods[name].log() for name in WORKERS]
        return all("limits_unusable" in log for log in logs) and bool(asked)

    until(told, what="each pod says that the table is wrong")
    assert [limited.limits(name) for name in WORKERS] == [{"requests": 11}] * 3
