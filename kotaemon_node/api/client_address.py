"""From which address a request comes, as those tell who stand between and are believed."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flask import Request

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_HEADER_CHARS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Proxies:
    """Who is believed in what it says of a client's address: balancers, by their networks.

    A pod itself always is: its gRPC stands beside it and asks over the loopback address.
    """

    networks: tuple[Network, ...]

    @classmethod
    def of(cls, said: str) -> "Proxies":
        """Return those of ``10.0.0.0/8,fd00::/8``; raises ``ValueError``, which names the part."""
        parts = [*_LOOPBACK, *filter(None, map(str.strip, said.split(",")))]
        return cls(tuple(ipaddress.ip_network(part) for part in parts))

    def address_of(self, request: Request) -> str:
        """Return the address that the last believed one saw, or who is connected; "": unknown."""
        address = request.remote_addr or ""
        told = request.headers.get("X-Forwarded-For", "")[-_HEADER_CHARS_MAX:]
        steps: Sequence[str] = [step.strip() for step in told.split(",") if step.strip()]
        for step in reversed(steps):
            if not self._believed(address):
                break
            address = step
        return address

    def _believed(self, address: str) -> bool:
        try:
            read = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(read in network for network in self.networks)
