"""From where a gRPC call comes: nobody chooses it who is not believed, as over HTTP."""

from typing import Any

import pytest

from kotaemon_node.domain.client_address import Proxies
from kotaemon_node.rpc.asked import client_of
from tests import event_loops
from tests.fakes.grpc_pod import asking, speaking, stub
from tests.fakes.oidc import KeptEvents, OidcCluster

CLIENT, BALANCER, PROXY = "203.0.113.7", "10.1.1.1", "192.168.7.1"
BETWEEN = Proxies.of("10.0.0.0/8,fd00::/8", "192.168.7.0/24")


@pytest.mark.parametrize(
    ("peer", "told", "address"),
    [
        (f"ipv4:{BALANCER}:4711", [CLIENT], CLIENT),
        ("ipv6:%5Bfd00::1%5D:4711", [CLIENT], CLIENT),
        # A proxy's own entry, and the balancer's of the proxy: in two, or in one.
        (f"ipv4:{BALANCER}:4711", [CLIENT, PROXY], CLIENT),
        (f"ipv4:{BALANCER}:4711", [f"{CLIENT}, {PROXY}"], CLIENT),
        (f"ipv4:{BALANCER}:4711", ["6.6.6.6", CLIENT], CLIENT),
        (f"ipv4:{BALANCER}:4711", [], BALANCER),
        # Who calls a pod directly is who it is, whatever it says.
        (f"ipv4:{CLIENT}:4711", ["6.6.6.6"], CLIENT),
        ("ipv6:%5B2001:db8::1%5D:4711", ["6.6.6.6"], "2001:db8::1"),
        ("unix:/tmp/socket", ["6.6.6.6"], ""),
        ("what", ["6.6.6.6"], ""),
    ],
)
def test_the_balancers_own_entry_counts(peer: str, told: list[str], address: str) -> None:
    metadata = [("x-api-key", "k"), *(("x-forwarded-for", entry) for entry in told)]

    assert client_of(peer, metadata, BETWEEN) == address


def test_a_pod_believes_its_own_grpc_wherever_it_listens() -> None:
    between = Proxies.of("192.0.2.0/24", pod_host="10.2.3.4")

    assert between.client_of("10.2.3.4", CLIENT) == CLIENT
    assert between.client_of("10.2.3.5", CLIENT) == "10.2.3.5"
    assert Proxies.of("", pod_host="worker-0").client_of("127.0.0.1", CLIENT) == CLIENT


def test_the_pod_is_told_who_calls() -> None:
    cluster = OidcCluster(audit=KeptEvents())

    async def call() -> Any:
        async with speaking(cluster) as channel:
            metadata = [("x-api-key", "wrong"), ("x-forwarded-for", "6.6.6.6")]
            metadata.append(("x-forwarded-for", CLIENT))
            answer = stub(channel).Generate(asking(session_id="s"), metadata=metadata)
            return await answer.code()

    event_loops.run(call())

    assert [event.address for event in cluster.audit.events] == [CLIENT]
