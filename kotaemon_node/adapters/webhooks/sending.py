"""Posting a webhook: one connection to one checked address, one request, no redirect.

The name is resolved here and the very address that was looked at is connected to, so that a name
which changes its address in between leads nowhere.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import SplitResult, urlsplit

from kotaemon_node.domain.acting_limits import (
    WEBHOOK_ANSWER_BYTES_MAX,
    WEBHOOK_CONNECT_TIMEOUT_S,
    WEBHOOK_TIMEOUT_S,
)
from kotaemon_node.domain.addresses import problem_of_address
from kotaemon_node.ports.webhooks import NotDelivered

_PORTS: Final = {"http": 80, "https": 443}
_AGENT: Final = "kotaemon-webhooks/1"


class HttpSender:
    """``ports.webhooks.WebhookSender``; blocking calls, for threads and for greenlets."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls or ssl.create_default_context()

    def send(self, url: str, body: bytes, *, headers: Mapping[str, str], private: bool) -> int:
        """See the port."""
        address = urlsplit(url)
        host, port = address.hostname or "", address.port or _PORTS[address.scheme]
        with _connected(host, port, private=private) as line, _hung_up_in_time(line):
            try:
                if address.scheme == "http":
                    return _exchange(line, address, body, headers)
                with self._tls.wrap_socket(line, server_hostname=host) as secured:
                    return _exchange(secured, address, body, headers)
            except ssl.SSLCertVerificationError as error:
                raise NotDelivered(f"{host} has no certificate that is trusted") from error
            except (OSError, http.client.HTTPException) as error:
                raise NotDelivered(f"{host} gave no whole answer") from error


def _connected(host: str, port: int, *, private: bool) -> socket.socket:
    """Return a connection to an address of the host that may be asked."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NotDelivered(f"{host} has no address now") from error
    for _, _, _, _, where in found:
        if problem := problem_of_address(str(where[0]), private=private):
            raise NotDelivered(f"{host} {problem}")
    for _, _, _, _, where in found:
        try:
            line = socket.create_connection(
                (str(where[0]), port), timeout=WEBHOOK_CONNECT_TIMEOUT_S
            )
        except OSError:
            continue
        line.settimeout(WEBHOOK_TIMEOUT_S)
        return line
    raise NotDelivered(f"{host} cannot be reached")


@contextmanager
def _hung_up_in_time(line: socket.socket) -> Iterator[None]:
    """End the connection under whoever reads it after ``WEBHOOK_TIMEOUT_S``, however it drips."""
    # Another name of it: encrypting takes ``line`` away, and begins with a long conversation.
    with line.dup() as same:
        timer = threading.Timer(WEBHOOK_TIMEOUT_S, _hang_up, (same,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _exchange(
    line: socket.socket, address: SplitResult, body: bytes, headers: Mapping[str, str]
) -> int:
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    connection = http.client.HTTPConnection(address.netloc)
    connection.sock = line
    connection.request(
        "POST",
        path,
        body=body,
        headers={
            "Host": address.netloc,
            "Content-Type": "application/json",
            "User-Agent": _AGENT,
            "Connection": "close",
            **headers,
        },
    )
    answer = connection.getresponse()
    answer.read(WEBHOOK_ANSWER_BYTES_MAX)
    return answer.status


def _hang_up(line: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself
        line.shutdown(socket.SHUT_RDWR)
