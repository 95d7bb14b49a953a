"""Server-sent events off a socket, each with the time at which its last byte was received.

Nothing is collected: ``http.client`` hands out what one ``recv`` brought, so the times are those of
the network and not of a buffer.
"""

import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_RECEIVE_BYTES = 64 * 1024
_REFUSAL_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream; ``frame`` is None for a comment, which is a heartbeat."""

    at_s: float
    """``time.monotonic()``"""
    id: str
    name: str
    frame: Mapping[str, Any] | None


class Broken(Exception):
    """The connection ended before its answer did, or never began."""


class Silent(Exception):
    """Nothing came for as long as one waits."""


class EventDecoder:
    """Bytes in, events out, however the bytes were cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[str, str] = {}

    def feed(self, received: bytes, *, at_s: float) -> Iterator[Event]:
        """Yield the events that ``received`` completes; ``ValueError`` where data is not JSON."""
        *lines, self._rest = (self._rest + received).split(b"\n")
        for line in lines:
            text = line.removesuffix(b"\r").decode()
            if text.startswith(":"):
                yield Event(at_s, "", "", None)
            elif text:
                name, _, value = text.partition(":")
                self._fields[name] = value.removeprefix(" ")
            elif self._fields:
                fields, self._fields = self._fields, {}
                frame = json.loads(fields.get("data", ""))
                yield Event(at_s, fields.get("id", ""), fields.get("event", ""), frame)


class Request:
    """One request whose answer is a stream; ``hang_up`` may come from any thread."""

    def __init__(self, base: str, *, timeout_s: float) -> None:
        """``timeout_s``: the longest silence, before the answer and within it."""
        address = urlsplit(base)
        self._connection = http.client.HTTPConnection(
            address.hostname or "", address.port or 80, timeout=timeout_s
        )
        self._answer: http.client.HTTPResponse | None = None
        self._socket: socket.socket | None = None

    def send(
        self, method: str, path: str, *, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> int:
        """Send and return the status; ``Broken``, ``Silent``."""
        content = None if body is None else json.dumps(body).encode()
        sent = {"Accept": "text/event-stream", **headers}
        if content is not None:
            sent["Content-Type"] = "application/json"
        try:
            self._connection.connect()
            # The answer takes the socket from the connection; to close it, it must be known.
            self._socket = self._connection.sock
            self._connection.request(method, path, body=content, headers=sent)
            self._answer = self._connection.getresponse()
        except TimeoutError as error:
            raise Silent("no answer") from error
        except (OSError, http.client.HTTPException) as error:
            raise Broken(f"no answer: {error!r}") from error
        return self._answer.status

    def header(self, name: str) -> str | None:
        """Return a header of the answer."""
        return None if self._answer is None else self._answer.getheader(name)

    def refusal(self) -> Mapping[str, Any]:
        """Return the ``error`` object of an answer that is no stream; empty where it has none."""
        assert self._answer is not None
        try:
            found = json.loads(self._answer.read(_REFUSAL_BYTES_MAX))["error"]
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}

    def events(self) -> Iterator[Event]:
        """Yield events up to the end of the answer; ``Broken``, ``Silent``."""
        assert self._answer is not None
        decoder = EventDecoder()
        while True:
            try:
                received = self._answer.read1(_RECEIVE_BYTES)
            except TimeoutError as error:
                raise Silent("no heartbeat") from error
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise Broken(f"the stream broke: {error!r}") from error
            if not received:
                return
            try:
                yield from decoder.feed(received, at_s=time.monotonic())
            except ValueError as error:
                raise Broken(f"the stream is garbled: {error}") from error

    def hang_up(self) -> None:
        """End the connection; a thread that waits for bytes is woken, which closing does not."""
        with suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the connection; only from the thread that reads."""
        self._connection.close()
        if self._answer is not None:
            self._answer.close()
