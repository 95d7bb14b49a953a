"""A broker that refuses our certificate behind the handshake, in each way that reaches us."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kotaemon_node.adapters.kafka import KafkaAddress
from kotaemon_node.adapters.kafka.handshake import tls_problem
from tests.certificates import Authority

_RESETS = struct.pack("ii", 1, 0)


@contextmanager
def broker(authority: Authority, *, ending: str) -> Iterator[KafkaAddress]:
    """Serve one connection: its handshake succeeds, and then it ends in one of the ways."""
    own = authority.pair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            plain, _ = listening.accept()
            with context.wrap_socket(plain, server_side=True) as line:
                if ending == "answered":
                    line.recv(64)
                    line.sendall(b"\0\0\0\0")
                elif ending == "reset":
                    line.recv(1)  # the rest stays unread
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETS)
                else:
                    line.recv(64)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        place = f"127.0.0.1:{listening.getsockname()[1]}"
        yield KafkaAddress((place,), security_protocol="SSL", ca_file=authority.file)
        serving.join(10)


@pytest.mark.parametrize("ending", ["closed", "reset"])
def test_a_connection_that_ends_behind_the_handshake_tells_of_our_certificate(
    tmp_path: Path, ending: str
) -> None:
    with broker(Authority(tmp_path), ending=ending) as address:
        assert "certificate of ours" in tls_problem(address)


def test_a_broker_that_answers_has_no_problem(tmp_path: Path) -> None:
    with broker(Authority(tmp_path), ending="answered") as address:
        assert tls_problem(address) == ""
