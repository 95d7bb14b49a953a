"""From which address a request comes, as those tell who stand between and are believed.

Rule 1: of a balancer the last entry of ``X-Forwarded-For`` is believed, which is its own: who was
    connected to it. What stands before that came from there, whoever that is.
Rule 2: where that is a proxy of the operator, the entry before it is the proxy's own, and so on.
Rule 3: an entry that is no address ends the way: who wrote it is the last that is known.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOPBACK: Final = "127.0.0.0/8,::1/128"
_HEADER_CHARS_MAX: Final = 1_000
# Some proxies write the port as well: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
_WITH_PORT: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Proxies:
    """Who is believed in what it says of a client's address."""

    balancers: tuple[Network, ...]
    """Who is connected to a pod: balancers; and the pod itself, whose gRPC stands beside it."""
    proxies: tuple[Network, ...] = ()
    """Who stands before the balancers."""

    @classmethod
    def of(cls, balancers: str, proxies: str = "", *, pod_host: str = "") -> "Proxies":
        """Return those of ``10.0.0.0/8,fd00::/8``; raises ``ValueError``, which names the part.

        ``pod_host``: where the pod is reached, by itself as well; a name says nothing here.
        """
        own = _read(pod_host)
        between = _networks(f"{_LOOPBACK},{balancers},{proxies},{own or ''}")
        return cls(between, _networks(proxies))

    def client_of(self, connected: str, forwarded: str) -> str:
        """Return the address that the last believed one saw, or who is connected; "": unknown.

        ``connected``: the other end of the connection; ``forwarded``: all that stands in
        ``X-Forwarded-For``, in the order in which it came, parted by commas.
        """
        found = _read(connected)
        if found is None or not _within(found, self.balancers):
            return connected
        told = forwarded[-_HEADER_CHARS_MAX:]
        for step in reversed([step.strip() for step in told.split(",") if step.strip()]):
            read = _read(step)
            if read is None:
                break
            found = read
            if not _within(found, self.proxies):
                break
        return str(found)


def _networks(said: str) -> tuple[Network, ...]:
    parts = filter(None, map(str.strip, said.split(",")))
    return tuple(ipaddress.ip_network(part, strict=False) for part in parts)


def _read(text: str) -> _Address | None:
    whole = _WITH_PORT.fullmatch(text)
    try:
        read = ipaddress.ip_address((whole[1] or whole[2]) if whole else text)
    except ValueError:
        return None
    mapped = read.ipv4_mapped if isinstance(read, ipaddress.IPv6Address) else None
    return mapped or read


def _within(address: _Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)
