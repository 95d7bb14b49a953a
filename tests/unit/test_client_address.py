"""From which address a request comes: nobody chooses it who is not believed."""

import pytest

from kotaemon_node.domain.client_address import Proxies
from tests.fakes.oidc import KeptEvents, OidcCluster

BALANCERS = "10.0.0.0/8,fd00::/8"
BALANCER, CLIENT = "10.1.1.1", "203.0.113.7"


def told(connected: str, forwarded: str, *, proxies: str = "") -> str:
    return Proxies.of(BALANCERS, proxies).client_of(connected, forwarded)


@pytest.mark.parametrize(
    ("connected", "forwarded", "address"),
    [
        (BALANCER, CLIENT, CLIENT),
        # a client of a private network, and what it wrote itself
        (BALANCER, "6.6.6.6, 10.9.9.9, 10.2.2.2", "10.2.2.2"),
        (BALANCER, "6.6.6.6, 127.0.0.1", "127.0.0.1"),
        (BALANCER, f"6.6.6.6, {CLIENT}", CLIENT),
        (BALANCER, "", BALANCER),
        (BALANCER, "{x}lol", BALANCER),
        (BALANCER, f"{CLIENT}, unknown", BALANCER),
        (BALANCER, f"{CLIENT}:4711", CLIENT),
        (BALANCER, "[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:10.1.1.1", CLIENT, CLIENT),
        ("fd00::1", CLIENT, CLIENT),
        ("127.0.0.1", CLIENT, CLIENT),
        (CLIENT, "6.6.6.6", CLIENT),
        ("", "6.6.6.6", ""),
    ],
)
def test_the_balancers_own_entry_counts_and_none_before_it(
    connected: str, forwarded: str, address: str
) -> None:
    assert told(connected, forwarded) == address


def test_a_proxy_that_is_named_is_walked_over_and_no_other() -> None:
    walked = f"6.6.6.6, {CLIENT}, 192.168.7.1"

    assert told(BALANCER, walked, proxies="192.168.7.0/24") == CLIENT
    assert told(BALANCER, walked) == "192.168.7.1"
    assert told(BALANCER, f"{CLIENT}, 10.5.5.5, 192.168.7.1", proxies="192.168.7.9/24") == (
        "10.5.5.5"
    ), "a balancer's network is nobody's to walk over"
    assert told(BALANCER, "what, 192.168.7.1", proxies="192.168.7.0/24") == "192.168.7.1"


def test_the_audit_log_has_the_clients_address() -> None:
    cluster = OidcCluster(audit=KeptEvents())

    cluster.client().get("/v1/me", headers={"X-API-Key": "wrong", "X-Forwarded-For": CLIENT})

    assert [event.address for event in cluster.audit.events] == [CLIENT]
