"""Which addresses of the network a program of ours may be sent to by somebody else."""

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Where clouds tell whoever asks on this machine its credentials. Never, whatever is declared.
METADATA: Final = tuple(
    ipaddress.ip_network(it)
    for it in (
        "169.254.169.254/32",  # AWS, Azure, Google, OpenStack, …
        "169.254.170.0/24",  # AWS: credentials of containers and pods
        "169.254.0.23/32",  # Tencent
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure: the host
        "192.0.0.192/32",  # Oracle
        "fd00:ec2::/32",  # AWS
        "fd20:ce::254/128",  # Google
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = ipaddress.IPv6Network("64:ff9b:1::/48")


def problem_of_address(address: str, *, private: bool) -> str | None:
    """Return why nobody may be sent to ``address``, None where one may.

    ``private``: addresses of this machine and of private networks are meant. An address that holds
    another (mapped, translated, tunnelled) is judged by that one, too.
    """
    try:
        said = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "is no address"
    for one in (said, *_held(said)):
        if any(one in network for network in METADATA):
            return "is an address of cloud metadata"
        if one.is_multicast or one.is_unspecified or _broadcast(one):
            return "is no address of a host"
        if not one.is_global and not private:
            return "is an address of this machine or of a private network"
    return None


def _held(address: Address) -> tuple[Address, ...]:
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    held: list[Address] = []
    if address in _NAT64 or address in _NAT64_LOCAL:
        held.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.ipv4_mapped is not None:
        held.append(address.ipv4_mapped)
    if address.sixtofour is not None:
        held.append(address.sixtofour)
    if address.teredo is not None:
        held.extend(address.teredo)
    return tuple(held)


def _broadcast(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv4Address) and int(address) == 0xFFFFFFFF
