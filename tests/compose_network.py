"""docker's networks for tests: bridges, names, published ports, in namespaces of this machine.

All of it is gone with the processes that hold the namespaces. Needs root.
"""

import contextlib
import ctypes
import os
import selectors
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

NAMESERVER = "127.0.0.11"
WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""In front of a command: it ends with the thread that started it, however that ends."""
_CLONE_NEWNET = 0x40000000
_CHUNK_BYTES = 65_536
_A, _AAAA, _NO_SUCH_NAME = 1, 28, 3

T = TypeVar("T")


class Namespace:
    """A network namespace, held by a process that sleeps."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            [*WITH_US, "unshare", "--net", "sh", "-c", "echo; exec sleep 3600"],
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        self._holder.stdout.readline()  # it is in there now
        self.pid = self._holder.pid
        self.path = f"/proc/{self.pid}/ns/net"
        self.ip("link set lo up")

    def ip(self, *commands: str) -> None:
        """Run commands of ``ip`` in there."""
        done = subprocess.run(
            ["nsenter", f"--net={self.path}", "ip", "-batch", "-"],
            input="\n".join(commands),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (commands, done.stderr)

    def inside(self, make: Callable[[], T]) -> T:
        """Return what ``make`` returns; sockets that it makes belong to this namespace."""
        made: list[T] = []

        def enter() -> None:
            # Only this thread enters, and it ends.
            with open(self.path, "rb") as namespace:
                assert ctypes.CDLL(None).setns(namespace.fileno(), _CLONE_NEWNET) == 0
            made.append(make())

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        return made[0]

    def remove(self) -> None:
        """End it."""
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()


class Networks:
    """The networks of a project, with a bridge and an address range each."""

    def __init__(self, names: Sequence[str]) -> None:
        self._hub = Namespace()
        self._numbers = {name: number for number, name in enumerate(names, start=1)}
        self._hosts = 0
        self._closing: list[Callable[[], None]] = []
        for number in self._numbers.values():
            self._hub.ip(
                f"link add bridge{number} type bridge",
                f"addr add {self.gateway(number)}/24 dev bridge{number}",
                f"link set bridge{number} up",
            )

    def gateway(self, network: int | str) -> str:
        """Return the address by which containers of a network reach this machine."""
        number = self._numbers[network] if isinstance(network, str) else network
        return f"10.231.{number}.1"

    def join(self, names: Sequence[str]) -> tuple[Namespace, dict[str, str]]:
        """Return a namespace that is connected to these networks, and its addresses there."""
        self._hosts += 1
        namespace, addresses = Namespace(), {}
        for name in names:
            number = self._numbers[name]
            addresses[name] = f"10.231.{number}.{self._hosts + 1}"
            near, far = f"p{self._hosts}n{number}", f"eth{number}"
            self._hub.ip(
                f"link add {near} type veth peer name {far} netns {namespace.pid}",
                f"link set {near} master bridge{number} up",
            )
            namespace.ip(f"addr add {addresses[name]}/24 dev {far}", f"link set {far} up")
        return namespace, addresses

    def publish(self, address: str, port: int) -> int:
        """Return a port of this machine's loopback address that leads to a container's."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._forward(
            listener,
            lambda: self._hub.inside(lambda: socket.create_connection((address, port), timeout=5)),
        )
        return int(listener.getsockname()[1])

    def admit(self, network: str, port: int, to_port: int) -> None:
        """Let containers reach a server of this machine's loopback at the gateway's ``port``."""
        listener = self._hub.inside(lambda: socket.create_server((self.gateway(network), port)))
        self._forward(listener, lambda: socket.create_connection(("127.0.0.1", to_port), timeout=5))

    def remove(self) -> None:
        """End all of it."""
        for close in self._closing:
            close()
        self._hub.remove()

    def _forward(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        def accept() -> None:
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_pass_on, args=(near, connect), daemon=True).start()

        def close() -> None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
            listener.close()

        self._closing.append(close)
        threading.Thread(target=accept, name="published", daemon=True).start()


def _pass_on(near: socket.socket, connect: Callable[[], socket.socket]) -> None:
    with near:
        try:
            far = connect()
        except OSError:
            return
        with far:
            far.settimeout(None)
            back = threading.Thread(target=_copy, args=(far, near), daemon=True)
            back.start()
            _copy(near, far)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(_CHUNK_BYTES):
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class Names:
    """Docker's name server: in each namespace it knows the services of the same networks."""

    def __init__(self, lookup: Callable[[str, str], Sequence[str]]) -> None:
        """``lookup(service, name)``: the addresses that a name has for a service."""
        self._lookup = lookup
        self._selector = selectors.DefaultSelector()
        self._wake, woken = os.pipe()[::-1]
        self._selector.register(woken, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, name="names", daemon=True)
        self._thread.start()

    def serve(self, service: str, namespace: Namespace) -> None:
        """Answer a service's questions from now on."""

        def listen() -> socket.socket:
            listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            listener.bind((NAMESERVER, 53))
            return listener

        self._selector.register(namespace.inside(listen), selectors.EVENT_READ, service)

    def remove(self) -> None:
        """End it."""
        os.write(self._wake, b"x")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if not isinstance(key.fileobj, socket.socket):
                    return
                question, client = key.fileobj.recvfrom(4096)
                answer = _answer(question, lambda name, asker=key.data: self._lookup(asker, name))
                with contextlib.suppress(OSError):
                    key.fileobj.sendto(answer, client)


def _answer(question: bytes, lookup: Callable[[str], Sequence[str]]) -> bytes:
    labels, at = [], 12
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode())
        at += 1 + length
    asked = question[12 : at + 5]
    (kind,) = struct.unpack_from(">H", question, at + 1)
    addresses = lookup(".".join(labels))
    records = addresses if kind == _A else ()
    flags = 0x8180 if addresses else 0x8180 | _NO_SUCH_NAME
    head = question[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
    body = b"".join(
        # The name again, as a pointer to the question; type, class, life of a second, length.
        b"\xc0\x0c" + struct.pack(">HHIH", _A, 1, 1, 4) + socket.inet_aton(address)
        for address in records
    )
    return head + asked + body


def known(
    addresses: Mapping[str, Mapping[str, str]], asker: str, names: Sequence[str]
) -> list[str]:
    """Return the addresses of services ``names`` in the networks in which ``asker`` is as well."""
    return [
        address
        for name in names
        for network, address in addresses.get(name, {}).items()
        if network in addresses.get(asker, {})
    ]
