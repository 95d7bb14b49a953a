"""Connections of a plugin: the pod makes them, to declared hosts alone, and hands them over.

No system call of this process opens a socket to the network. What Python programs use instead is
replaced here, so that ``requests`` and ``http.client`` work as they are: a socket is a place holder
until ``connect`` asks the pod, which resolves the name, connects, and passes the descriptor. Names
are resolved by nobody here: a name gets an address of no network, which stands for it.
"""

import ipaddress
import os
import socket
from typing import Any, Final

from kotaemon_node.plugins.child.frames import Channel

# 198.18.0.0/15 is for measurements: no host of anybody has such an address.
_STAND_INS_FROM: Final = int(ipaddress.IPv4Address("198.18.0.1"))
_NAMES_MAX: Final = 60_000
_INTERNET: Final = frozenset({-1, socket.AF_INET, socket.AF_INET6})
_KIND_BITS: Final = 0xF
_DEFAULT_TIMEOUT_S: Final = 10.0

_Socket: Any = socket.socket


class _Names:
    """Which address stands for which name."""

    def __init__(self) -> None:
        self._by_name: dict[str, str] = {}
        self._by_address: dict[str, str] = {}

    def stand_in(self, name: str) -> str:
        """Return the address that stands for ``name``; an address stands for itself."""
        try:
            return str(ipaddress.ip_address(name))
        except ValueError:
            pass
        if name not in self._by_name:
            if len(self._by_name) >= _NAMES_MAX:
                raise socket.gaierror(socket.EAI_AGAIN, "too many names")
            address = str(ipaddress.IPv4Address(_STAND_INS_FROM + len(self._by_name)))
            self._by_name[name], self._by_address[address] = address, name
        return self._by_name[name]

    def meant(self, address: str) -> str:
        """Return the name for which an address stands."""
        return self._by_address.get(address, address)


class _Places:
    """Where connections come from in this process: set once, by ``install``."""

    channel: Channel
    names: _Names


class PlacedSocket(_Socket):  # type: ignore[misc]
    """A socket whose connection the pod makes."""

    def __init__(
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        self._options: list[tuple[Any, ...]] | None = None
        """Set before it is connected, and kept until then; None: it is no place holder."""
        stream = type == -1 or type & _KIND_BITS == socket.SOCK_STREAM
        if fileno is None and family in _INTERNET and stream:
            kept, other = _pair()
            os.close(other)
            family = socket.AF_INET if family == -1 else family
            super().__init__(family, socket.SOCK_STREAM, proto, fileno=kept)
            self._options = []
            return
        super().__init__(family, type, proto, fileno=fileno)

    def setsockopt(self, *arguments: Any) -> None:
        """Set an option, or keep it for the connection."""
        if self._options is None:
            super().setsockopt(*arguments)
        else:
            self._options.append(arguments)

    def bind(self, address: Any) -> None:
        """Refuse."""
        raise PermissionError(f"a plugin cannot bind {address!r:.100}")

    def listen(self, *_: Any) -> None:
        """Refuse."""
        raise PermissionError("a plugin cannot listen")

    def connect(self, address: Any) -> None:
        """Have the pod connect."""
        if self._options is None:
            raise PermissionError(f"a plugin cannot connect to {address!r:.100}")
        wait_s = self.gettimeout()
        opened = _connected(_Places.names.meant(address[0]), address[1], wait_s)
        try:
            os.dup2(opened, self.fileno(), inheritable=False)
        finally:
            os.close(opened)
        self.settimeout(wait_s)
        options, self._options = self._options, None
        for option in options:
            super().setsockopt(*option)

    def connect_ex(self, address: Any) -> int:
        """Have the pod connect; return the number of the error."""
        try:
            self.connect(address)
        except OSError as error:
            return error.errno or -1
        return 0


def install(channel: Channel) -> None:
    """Replace what opens sockets and resolves names, before a plugin imports it by name."""
    _Places.channel, _Places.names = channel, _Names()
    _set = vars(socket)
    _set["socket"] = _set["SocketType"] = PlacedSocket
    _set["getaddrinfo"] = getaddrinfo
    _set["gethostbyname"] = gethostbyname


def getaddrinfo(  # noqa: PLR0917 - the signature is that of the standard library
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[Any]:
    """Return the address that stands for a name."""
    name = host.decode("ascii") if isinstance(host, bytes) else (host or "localhost")
    address = gethostbyname(name)
    if ":" in address:
        place: tuple[Any, ...] = (address, _port(port), 0, 0)
        return [(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)]
    place = (address, _port(port))
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)]


def gethostbyname(host: str) -> str:
    """Return the address that stands for a name."""
    return _Places.names.stand_in(host.lower())


def _port(port: Any) -> int:
    known = {"http": 80, "https": 443, None: 0}
    return known[port] if port in known else int(port)


def _pair() -> tuple[int, int]:
    one, other = socket._socket.socketpair(  # type: ignore[attr-defined]
        socket.AF_UNIX, socket.SOCK_STREAM, 0
    )
    return one.detach(), other.detach()


def _connected(host: str, port: int, wait_s: float | None) -> int:
    """Return the descriptor of a connection that the pod made. Raises ``OSError``."""
    wanted_s = wait_s or _DEFAULT_TIMEOUT_S
    said, opened = _Places.channel.ask({"connect": host, "port": port, "timeout_s": wanted_s})
    if opened is None:
        raise OSError(said.get("errno", 0), said.get("why", "the pod refused"))
    return opened
