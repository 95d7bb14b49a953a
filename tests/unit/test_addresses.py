"""Where nobody may be sent, and what has to be meant."""

import pytest

from kotaemon_node.domain.addresses import problem_of_address


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111"])
def test_hosts_of_the_internet_may_be_reached(address: str) -> None:
    assert problem_of_address(address, private=False) is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.1.1",
        "100.64.0.1", "192.0.2.1", "198.18.0.1", "::1", "fe80::1", "fe80::1%eth0", "fc00::1",
        "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
        "2002:7f00:1::", "2002:a00:1::",
    ],
)  # fmt: skip
def test_inner_addresses_have_to_be_meant(address: str) -> None:
    assert "private" in str(problem_of_address(address, private=False))
    assert problem_of_address(address, private=True) is None


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "fd00:ec2::254",
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "0.0.0.0", "::",
        "255.255.255.255", "224.0.0.1", "ff02::1", "::ffff:0.0.0.0", "", "localhost", "0177.0.0.1",
        "127.1", "2130706433",
    ],
)  # fmt: skip
def test_some_are_reached_by_nobody(address: str) -> None:
    assert problem_of_address(address, private=True)
