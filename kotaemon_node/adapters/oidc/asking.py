"""One request to an issuer, bounded in time and size, which follows no redirect.

``http.client`` and a timer, since a server that drips a byte a second would be waited for as long
as it likes: each single wait is short.
"""

import base64
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from kotaemon_node.domain import oidc_limits as limits
from kotaemon_node.domain.oidc import problem_of_url

_AGENT: Final = "kotaemon-oidc/1"


class IssuerFailed(Exception):
    """The issuer gave no answer that can be used; the message says why, without its address."""


@dataclass(frozen=True, slots=True)
class IssuerAnswer:
    """A status, and what the JSON body holds."""

    status: int
    told: Mapping[str, Any]


class IssuerLine:
    """Asks addresses of one issuer. Thread safe: each request has a connection of its own."""

    def __init__(self, *, tls: ssl.SSLContext, timeout_s: float = limits.ISSUER_TIMEOUT_S) -> None:
        self._tls = tls
        self._timeout_s = timeout_s

    def get(self, url: str) -> IssuerAnswer:
        """Return what lies there. Raises ``IssuerFailed``."""
        return self._exchanged(url, "GET", None, {})

    def post_form(
        self, url: str, fields: Mapping[str, str], *, user: str = "", password: str = ""
    ) -> IssuerAnswer:
        """Send a form, as its client where a password is given. Raises ``IssuerFailed``."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if password:
            # RFC 6749, 2.3.1: both parts are encoded as in a form before they are put together.
            pair = f"{quote(user, safe='')}:{quote(password, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return self._exchanged(url, "POST", urlencode(fields).encode(), headers)

    def _exchanged(
        self, url: str, method: str, body: bytes | None, headers: Mapping[str, str]
    ) -> IssuerAnswer:
        if problem := problem_of_url(url.partition("?")[0]):
            raise IssuerFailed(f"an address of the issuer {problem}")
        line = self._line(url)
        late = threading.Event()
        held: list[socket.socket] = []

        def hang_up() -> None:
            late.set()
            for opened in held:
                with suppress(OSError):  # it has ended by itself
                    opened.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self._timeout_s, hang_up)
        timer.daemon = True
        timer.start()
        try:
            status, raw = self._read(line, held.append, (method, url, body, headers))
        except ssl.SSLCertVerificationError as error:
            raise IssuerFailed("the issuer has no certificate that is trusted") from error
        except (OSError, http.client.HTTPException) as error:
            raise IssuerFailed("the issuer cannot be reached, or takes too long") from error
        finally:
            timer.cancel()
            line.close()
        if late.is_set():
            raise IssuerFailed("the issuer takes too long")
        return IssuerAnswer(status, _object(raw))

    def _line(self, url: str) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            return http.client.HTTPSConnection(
                host, parts.port, timeout=self._timeout_s, context=self._tls
            )
        return http.client.HTTPConnection(host, parts.port, timeout=self._timeout_s)

    def _read(
        self,
        line: http.client.HTTPConnection,
        hold: Callable[[socket.socket], None],
        asked: tuple[str, str, bytes | None, Mapping[str, str]],
    ) -> tuple[int, bytes]:
        method, url, body, headers = asked
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        line.connect()
        hold(line.sock)
        told = {"Accept": "application/json", "User-Agent": _AGENT, "Connection": "close"}
        line.request(method, path, body, {**told, **headers})
        answer = line.getresponse()
        raw = answer.read(limits.ISSUER_ANSWER_BYTES_MAX + 1)
        if len(raw) > limits.ISSUER_ANSWER_BYTES_MAX:
            raise IssuerFailed("the issuer's answer is too long")
        return answer.status, raw


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise IssuerFailed("the issuer's answer is no JSON") from error
    if not isinstance(told, dict):
        raise IssuerFailed("the issuer's answer has another form")
    return told
