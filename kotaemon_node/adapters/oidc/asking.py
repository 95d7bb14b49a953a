"""One request to an issuer, bounded in time and size, which follows no redirect.

``http.client`` and a timer, since a server that drips a byte a second would be waited for as long
as it likes: each single wait is short. Only looking up a name cannot be cut short: the resolver has
times of its own.
"""

import base64
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
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
        with _Held(self._timeout_s) as held:
            told = self._answered(held, url, (method, body, headers))
        if held.late:
            raise IssuerFailed("the issuer takes too long")
        return told

    def _answered(
        self, held: "_Held", url: str, asked: tuple[str, bytes | None, Mapping[str, str]]
    ) -> IssuerAnswer:
        try:
            with closing(self._line(url, held)) as line:
                status, raw = self._read(line, url, asked)
        except ssl.SSLCertVerificationError as error:
            raise IssuerFailed("the issuer has no certificate that is trusted") from error
        except (OSError, http.client.HTTPException) as error:
            raise IssuerFailed("the issuer cannot be reached, or takes too long") from error
        except ValueError as error:  # of a name that is none, or letters that no address has
            raise IssuerFailed("an address of the issuer cannot be used") from error
        return IssuerAnswer(status, _object(raw))

    def _line(self, url: str, held: "_Held") -> http.client.HTTPConnection:
        parts = urlsplit(url)
        host = parts.hostname or ""
        line = (
            http.client.HTTPSConnection(
                host, parts.port, timeout=self._timeout_s, context=self._tls
            )
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, parts.port, timeout=self._timeout_s)
        )
        # Its place for what connects, so that addresses after the first and TLS are timed, too.
        line._create_connection = held.connect  # type: ignore[attr-defined]
        return line

    def _read(
        self,
        line: http.client.HTTPConnection,
        url: str,
        asked: tuple[str, bytes | None, Mapping[str, str]],
    ) -> tuple[int, bytes]:
        method, body, headers = asked
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        told = {"Accept": "application/json", "User-Agent": _AGENT, "Connection": "close"}
        line.request(method, path, body, {**told, **headers})
        answer = line.getresponse()
        raw = answer.read(limits.ISSUER_ANSWER_BYTES_MAX + 1)
        if len(raw) > limits.ISSUER_ANSWER_BYTES_MAX:
            raise IssuerFailed("the issuer's answer is too long")
        return answer.status, raw


class _Held:
    """Connects, and hangs up by itself once the time is over, whatever the connection does then."""

    def __init__(self, timeout_s: float) -> None:
        self.late = False
        self._timeout_s = timeout_s
        self._end_s = 0.0
        self._opened: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(timeout_s, self._hang_up)
        self._timer.daemon = True

    def __enter__(self) -> "_Held":
        self._end_s = time.monotonic() + self._timeout_s
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for one in self._opened:
                one.close()
            self._opened.clear()

    def connect(self, address: tuple[str, int], *_: object) -> socket.socket:
        """Return a connection to the first that answers of what the name stands for."""
        failed: OSError = TimeoutError("no address is left to be tried")
        for family, kind, protocol, _name, place in socket.getaddrinfo(
            *address, type=socket.SOCK_STREAM
        ):
            left_s = self._end_s - time.monotonic()
            if left_s <= 0:
                break
            one = socket.socket(family, kind, protocol)
            try:
                one.settimeout(left_s)
                one.connect(place)
                self._hold(one)
            except OSError as error:
                one.close()
                failed = error
            else:
                return one
        raise failed

    def _hold(self, one: socket.socket) -> None:
        # A second handle of the connection: TLS takes the first one away for its own.
        with self._lock:
            if self.late:
                raise TimeoutError("it connected too late")
            self._opened.append(one.dup())

    def _hang_up(self) -> None:
        with self._lock:
            self.late = True
            for one in self._opened:
                with suppress(OSError):  # it has ended by itself
                    one.shutdown(socket.SHUT_RDWR)


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise IssuerFailed("the issuer's answer is no JSON") from error
    if not isinstance(told, dict):
        raise IssuerFailed("the issuer's answer has another form")
    return told
