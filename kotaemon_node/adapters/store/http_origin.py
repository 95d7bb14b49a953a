"""Artifacts that a coordinator serves over HTTP (``coordinator/artifacts.py``)."""

import http
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import requests
from urllib3.exceptions import HTTPError

from kotaemon_node.adapters.store.origin import (
    CHUNK_BYTES,
    CONNECT_TIMEOUT_S,
    SILENT_TIMEOUT_S,
    Body,
    OriginAway,
)
from kotaemon_node.domain.tls_advice import tls_advice
from kotaemon_node.ports.artifacts import ArtifactsUnavailable

_TIMEOUT: Final = (CONNECT_TIMEOUT_S, SILENT_TIMEOUT_S)
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+)")


class HttpOrigin:
    """``Origin`` below the address ``url``."""

    def __init__(self, url: str, *, token: str, ca_file: Path | None = None) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment leads out of the cluster
        if ca_file is not None:
            self._session.verify = str(ca_file)
        # Compressed, a part of it could not be asked for.
        self._session.headers["Accept-Encoding"] = "identity"
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    @contextmanager
    def open(self, name: str, *, start: int = 0, tag: str = "") -> Iterator[Body | None]:
        headers = {"Range": f"bytes={start}-", "If-Range": tag} if start and tag else {}
        response = self._get(f"{self._url}/{quote(name)}", headers=headers, stream=True)
        try:
            if response.status_code == http.HTTPStatus.NOT_FOUND:
                yield None
            else:
                yield _body(response)
        finally:
            response.close()

    def names(self, prefix: str) -> Iterator[str]:
        after: str | None = ""
        while after is not None:
            query = {"prefix": prefix, "after": after}
            with self._get(self._url, params=query) as response:
                try:
                    page = response.json()
                    names, after = list(page["names"]), page["next"]
                except (requests.RequestException, ValueError, LookupError, TypeError) as error:
                    raise OriginAway(f"{self._url} lists no artifacts: {error}") from error
            yield from names

    def _get(self, url: str, **how: Any) -> requests.Response:
        try:
            response = self._session.get(url, timeout=_TIMEOUT, allow_redirects=False, **how)
        except (requests.RequestException, OSError) as error:
            raise OriginAway(
                f"{self._url} does not answer: {tls_advice(error) or _reason(error)}"
            ) from error
        status = response.status_code
        if status in {200, 206, 404}:
            return response
        response.close()
        if status in {401, 403}:
            raise ArtifactsUnavailable(f"{self._url} refuses us ({status}): see ARTIFACT_TOKEN")
        raise OriginAway(f"{self._url} answers {status}")


def _body(response: requests.Response) -> Body:
    start, size = 0, response.headers.get("Content-Length", "")
    if response.status_code == http.HTTPStatus.PARTIAL_CONTENT:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None:
            raise OriginAway("a part of an artifact that does not say which")
        start, size = int(found[1]), found[2]
    if not size.isdecimal():
        raise OriginAway("an artifact of unknown size")
    tag = response.headers.get("ETag", "")
    return Body(start, int(size), tag, _chunks(response))


def _chunks(response: requests.Response) -> Iterator[bytes]:
    try:
        # read1 returns what has come: a slow origin must not hold us until a chunk is full.
        while chunk := response.raw.read1(CHUNK_BYTES):
            yield chunk
    except (HTTPError, OSError) as error:
        raise OriginAway(f"broken off: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return the last cause, without the wrappings and addresses of two libraries."""
    cause: BaseException = error
    while cause.args and isinstance(inner := cause.args[-1], BaseException):
        cause = inner
    reason = getattr(cause, "reason", None)
    return str(reason or cause) or type(cause).__name__
