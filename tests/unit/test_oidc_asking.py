"""One request to an issuer ends in time, whatever the other side does with the connection."""

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kotaemon_node.adapters.oidc.asking import IssuerFailed, IssuerLine

# The head of a message of TLS with 16 KiB, which never come.
_BEGUN = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03"
_DRIPS = 400


@contextmanager
def dripping_server(drips: list[int], stop: threading.Event) -> Iterator[int]:
    """Answer a handshake byte by byte; count the bytes that were taken."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            taken, _ = server.accept()
            with taken:
                for at in range(_DRIPS):
                    if stop.wait(0.05):
                        return
                    try:
                        taken.sendall(_BEGUN[at : at + 1] or b"\x00")
                    except OSError:
                        return
                    drips.append(at)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join(20)


_IN_A_WORKER = """
from gevent import monkey
monkey.patch_all()
import ssl, sys
from kotaemon_node.adapters.oidc.asking import IssuerFailed, IssuerLine
try:
    IssuerLine(tls=ssl.create_default_context(), timeout_s=0.5).get(sys.argv[1])
except IssuerFailed as error:
    print(error)
"""
"""As workers ask: with gevent each wait of a handshake has the whole time again."""


def test_a_handshake_that_drips_is_not_waited_for() -> None:
    drips: list[int] = []
    stop = threading.Event()

    with dripping_server(drips, stop) as port:
        asked = [sys.executable, "-c", _IN_A_WORKER, f"https://127.0.0.1:{port}/keys"]
        ended = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
        assert len(drips) < _DRIPS

    assert "takes too long" in ended.stdout


@pytest.mark.parametrize(
    "url",
    [
        "https://a..b/keys",
        f"https://{'a' * 70}.example/keys",
        "http://127.0.0.1:9/\u00e9",
        "http://127.0.0.1:9/a b",
    ],
)
def test_an_address_that_is_none_is_a_failure_of_the_issuer(url: str) -> None:
    with pytest.raises(IssuerFailed):
        IssuerLine(tls=ssl.create_default_context(), timeout_s=0.5).get(url)
