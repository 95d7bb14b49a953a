"""Posting a webhook: one connection to one checked address, one request, no redirect.

The name is resolved here and the very address that was looked at is connected to, so that a name
which changes its address in between leads nowhere.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
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
        line = self._connected(address.scheme, host, port, private=private)
        timer = threading.Timer(WEBHOOK_TIMEOUT_S, _hang_up, (line,))  # however slowly it drips
        timer.daemon = True
        timer.start()
        try:
            return _exchange(line, address, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise NotDelivered(f"{host} gave no whole answer") from error
        finally:
            timer.cancel()
            line.close()

    def _connected(self, scheme: str, host: str, port: int, *, private: bool) -> socket.socket:
        """Return a connection to an address of the host that may be asked."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise NotDelivered(f"{host} has no address now") from error
        problem = ""
        for _, _, _, _, where in found:
            problem = problem_of_address(str(where[0]), private=private) or ""
            if problem:
                raise NotDelivered(f"{host} {problem}")
        for _, _, _, _, where in found:
            try:
                line = socket.create_connection(
                    (str(where[0]), port), timeout=WEBHOOK_CONNECT_TIMEOUT_S
                )
                line.settimeout(WEBHOOK_TIMEOUT_S)
                return (
                    self._tls.wrap_socket(line, server_hostname=host) if scheme == "https" else line
                )
            except ssl.SSLError as error:
                raise NotDelivered(f"{host} has no certificate that is trusted") from error
            except OSError:
                continue
        raise NotDelivered(f"{host} cannot be reached")


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
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        line.close()
