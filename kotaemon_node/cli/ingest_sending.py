"""Sends files to a cluster: streamed from the disk, again where it was busy, a few at once."""

import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

import requests

from kotaemon_node.cli.ingest_files import LocalFile
from kotaemon_node.cli.service import Place, ServiceError, checked, unreachable

_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 120.0
_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
_PAUSE_S: Final = 0.5
_PAUSE_MAX_S: Final = 15.0
PATIENCE_S: Final = 600.0
"""For how long a cluster may take nothing at all."""

Sleep = Callable[[float], None]


class Refused(Exception):
    """The cluster will not have this file, now or later."""


class Form:
    """One file as a form, read piece by piece; ``requests`` takes it for an open file."""

    def __init__(self, file: IO[bytes], size_bytes: int, *, path: str, sent: Callable[[int], None]):
        """``sent`` is told how many bytes of the file left for the network."""
        self.boundary = secrets.token_hex(16)
        edge = f"--{self.boundary}\r\n".encode()
        named = b'Content-Disposition: form-data; name="'
        self._head = (
            edge + named + b'path"\r\n\r\n' + path.encode() + b"\r\n"
            + edge + named + b'file"; filename="file"\r\n\r\n'
        )  # fmt: skip
        self._tail = f"\r\n--{self.boundary}--\r\n".encode()
        self._file = file
        self._left = size_bytes
        self._sent = sent
        self.len = len(self._head) + size_bytes + len(self._tail)

    def read(self, size: int = -1) -> bytes:
        """Return the next piece. A file that shrinks meanwhile is ``OSError``."""
        size = size if size > 0 else 1024 * 1024
        if self._head:
            piece, self._head = self._head, b""
        elif self._left:
            piece = self._file.read(min(size, self._left))
            if not piece:
                raise OSError("the file became shorter while it was read")
            self._left -= len(piece)
            self._sent(len(piece))
        else:
            piece, self._tail = self._tail, b""
        return piece


class Sender:
    """Uploads into one knowledge base. Thread safe."""

    def __init__(
        self,
        place: Place,
        kb: str,
        *,
        sleep: Sleep = time.sleep,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = f"{place.url}/v1/knowledge/{quote(kb)}/documents"
        self._auth = place.auth
        self._sleep = sleep
        self._now_s = now_s
        self._taken_s = now_s()
        self._local = threading.local()

    def send(self, file: LocalFile, *, sent: Callable[[int], None]) -> tuple[str, str]:
        """Upload; return the revision that was taken and the job that reads it.

        ``sent`` is told of bytes as they go, negative where they have to go again. Raises
        ``Refused``, ``OSError``, or ``ServiceError`` where the cluster is away for long.
        """
        job = f"cli-{secrets.token_hex(12)}"  # the same for each try: taken twice, it is done once
        pause_s = _PAUSE_S
        while True:
            problem, after_s = self._try(file, job, sent)
            if isinstance(problem, tuple):
                self._taken_s = self._now_s()
                return problem
            if self._now_s() - self._taken_s > PATIENCE_S:
                raise ServiceError(problem)
            self._sleep(max(after_s, pause_s))
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    def _try(
        self, file: LocalFile, job: str, sent: Callable[[int], None]
    ) -> tuple[tuple[str, str] | str, float]:
        """Return revision and job, or why it is to be tried again, and after how long."""
        gone = 0

        def count(size: int) -> None:
            nonlocal gone
            gone += size
            sent(size)

        try:
            response = self._post(file.path, file.document, job, count)
        except requests.RequestException:
            sent(-gone)
            return unreachable(self._url), 0.0
        if response.status_code in _AGAIN:
            sent(-gone)
            return f"The cluster answers {response.status_code}.", _retry_after_s(response)
        try:
            taken = checked(response).json()
        except ServiceError as error:
            sent(-gone)
            raise Refused(str(error)) from None
        return (str(taken["revision"]), str(taken["job"])), 0.0

    def _post(
        self, path: Path, document: str, job: str, sent: Callable[[int], None]
    ) -> requests.Response:
        with path.open("rb") as file:
            form = Form(file, path.stat().st_size, path=document, sent=sent)
            return self._session().post(
                self._url,
                params={"job": job},
                data=form,
                headers={"Content-Type": f"multipart/form-data; boundary={form.boundary}"},
                timeout=(_CONNECT_S, _ANSWER_S),
            )

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.auth = self._auth
        return session


def _retry_after_s(response: requests.Response) -> float:
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isdecimal() else 0.0
