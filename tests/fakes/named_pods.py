"""Stand-in pods and the name server that knows them, run as a program of its own.

``named_pods.py PORT``: pods listen on loopback addresses at PORT. It first prints the port of the
name server (UDP, 127.0.0.1), then obeys one command a line and answers each with ``ok``::

    start ADDRESS NAME      a pod called NAME listens and serves
    kill ADDRESS            it is gone: its port refuses, its connections are reset
    drain ADDRESS           it answers the balancer's check as one that is leaving
    name HOST ADDRESS       the name server knows the host there
    forget HOST             it knows it no more
    silence / speak         the name server answers nobody / answers again

A pod answers everything with its own name; ``…/stream`` never ends.
"""

import asyncio
import os
import socket
import struct
import sys
from typing import Any

_TICK_S = 0.1
_FOUND, _NO_SUCH_NAME = 0x8580, 0x8583
_A, _IN = 1, 1


class Pod:
    """One pod at one address."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.leaving = False
        self.server: asyncio.Server | None = None
        self.connections: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                if path.endswith("/stream"):
                    await self._stream(writer)
                status = 404 if self.leaving and path.startswith("/balancer/") else 200
                body = self.name.encode()
                length = f"Content-Length: {len(body)}\r\n\r\n".encode()
                writer.write(f"HTTP/1.1 {status} X\r\n".encode() + length + body)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side went away, or we were killed
        finally:
            self.connections.discard(writer)
            writer.close()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(1_000_000):
            writer.write(f"data: {self.name} {number}\n\n".encode())
            await writer.drain()
            await asyncio.sleep(_TICK_S)

    def kill(self) -> None:
        assert self.server is not None
        self.server.close()
        at_once = struct.pack("ii", 1, 0)
        for writer in list(self.connections):
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            writer.transport.abort()


class Names(asyncio.DatagramProtocol):
    """The name server: A records of one address each; whatever else is asked has no answer."""

    def __init__(self) -> None:
        self.hosts: dict[str, str] = {}
        self.silent = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, query: bytes, client: Any) -> None:
        if self.silent:
            return
        labels, end = [], 12
        while query[end]:
            labels.append(query[end + 1 : end + 1 + query[end]].decode())
            end += 1 + query[end]
        question = query[12 : end + 5]
        kind = int.from_bytes(query[end + 1 : end + 3], "big")
        address = self.hosts.get(".".join(labels).lower())
        answer = b""
        if address is not None and kind == _A:
            record = struct.pack("!HHHIH", 0xC00C, _A, _IN, 5, 4)
            answer = record + socket.inet_aton(address)
        flags = _NO_SUCH_NAME if address is None else _FOUND
        head = query[:2] + struct.pack("!HHHHH", flags, 1, 1 if answer else 0, 0, 0)
        self.transport.sendto(head + question + answer, client)


async def obey(line: str, *, port: int, pods: dict[str, Pod], names: Names) -> None:
    """Do what one line says."""
    match line.split():
        case ["start", address, name]:
            pod = pods[address] = Pod(name)
            pod.server = await asyncio.start_server(pod.serve, address, port, backlog=1024)
        case ["kill", address]:
            pods.pop(address).kill()
        case ["drain", address]:
            pods[address].leaving = True
        case ["name", host, address]:
            names.hosts[host] = address
        case ["forget", host]:
            names.hosts.pop(host, None)
        case ["silence"]:
            names.silent = True
        case ["speak"]:
            names.silent = False
        case unknown:
            raise ValueError(f"no command: {unknown}")


async def main(port: int) -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    pods: dict[str, Pod] = {}
    transport, names = await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    print(transport.get_extra_info("sockname")[1], flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await obey(line, port=port, pods=pods, names=names)
        print("ok", flush=True)
    os._exit(0)  # streams that still run are no news


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
