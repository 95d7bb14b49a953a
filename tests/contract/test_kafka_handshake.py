"""A broker that refuses our certificate behind the handshake: all that reaches us is an end."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kotaemon_node.adapters.kafka import KafkaAddress
from kotaemon_node.adapters.kafka.handshake import tls_problem
from tests.certificates import Authority


@contextmanager
def broker(authority: Authority, *, answers: bool) -> Iterator[KafkaAddress]:
    """Serve one connection, whose handshake succeeds; then it is answered, or closed."""
    own = authority.pair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            plain, _ = listening.accept()
            with context.wrap_socket(plain, server_side=True) as line:
                line.recv(64)
                if answers:
                    line.sendall(b"\0\0\0\0")

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        place = f"127.0.0.1:{listening.getsockname()[1]}"
        yield KafkaAddress((place,), security_protocol="SSL", ca_file=authority.file)
        serving.join(10)


def test_a_connection_that_ends_behind_the_handshake_tells_of_our_certificate(
    tmp_path: Path,
) -> None:
    with broker(Authority(tmp_path), answers=False) as address:
        assert "certificate of ours" in tls_problem(address)


def test_a_broker_that_answers_has_no_problem(tmp_path: Path) -> None:
    with broker(Authority(tmp_path), answers=True) as address:
        assert tls_problem(address) == ""
