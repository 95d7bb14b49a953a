"""Requests to a Weaviate server: bounded in number and time, every failure one sentence."""

from collections.abc import Mapping
from threading import BoundedSemaphore
from typing import Any, Final

import orjson
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from kotaemon_node.adapters.weaviate.address import WeaviateAddress
from kotaemon_node.ports.vectors import VectorsUnavailable

CONNECT_TIMEOUT_S: Final = 1.0
ANSWER_BYTES_MAX: Final = 16 << 20
_SAID_BYTES_MAX: Final = 300
_NO_SCHEMA: Final = 422
_OLDEST: Final = (1, 26)


class Connection:
    """A bounded number of connections to one server, shared by many tasks.

    Plain blocking sockets, which gevent patches in a pod. Not for its native threads.
    """

    def __init__(self, address: WeaviateAddress, *, connections_max: int, timeout_s: float) -> None:
        """``timeout_s``: how long the server may be silent, and a free connection be waited for."""
        self._url = address.url
        self._timeout_s = timeout_s
        self._free = BoundedSemaphore(connections_max)
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment leads out of the cluster
        pool = HTTPAdapter(pool_connections=1, pool_maxsize=connections_max)
        self._session.mount("http://", pool)
        self._session.mount("https://", pool)
        self._session.headers["Content-Type"] = "application/json"
        if address.key:
            self._session.headers["Authorization"] = f"Bearer {address.key}"

    def get(self, path: str) -> Any:
        """Return the JSON below ``path``; None where there is nothing."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: object, *, timeout_s: float | None = None) -> Any:
        """Send a JSON object; return the answer's, None where there is nothing to send it to.

        ``timeout_s`` instead of the usual one.
        """
        return self._ask("POST", path, body, timeout_s=timeout_s)

    def query(self, text: str) -> Any:
        """Return the answer to a GraphQL query; None where the server holds nothing at all."""
        return self._ask("POST", "/v1/graphql", {"query": text}, nothing=_NO_SCHEMA)

    def delete(self, path: str, body: object = None) -> None:
        """Remove what is below ``path``; nothing happens where there is nothing."""
        self._ask("DELETE", path, body)

    def check_version(self) -> None:
        """Raise ``VectorsUnavailable`` unless this is a Weaviate that we can use."""
        found = self.get("/v1/meta")
        version = found.get("version") if isinstance(found, Mapping) else None
        numbers = str(version).split(".")[:2]
        if not all(number.isdecimal() for number in numbers) or len(numbers) < 2:
            raise VectorsUnavailable(f"what answers at {self._url} is no Weaviate server")
        if tuple(map(int, numbers)) < _OLDEST:
            oldest = ".".join(map(str, _OLDEST))
            raise VectorsUnavailable(
                f"the Weaviate server at {self._url} is of version {version}, which is too old;"
                f" {oldest} or newer is needed"
            )

    def _ask(
        self,
        method: str,
        path: str,
        body: object,
        *,
        nothing: int = 404,
        timeout_s: float | None = None,
    ) -> Any:
        content = None
        if body is not None:
            content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        if not self._free.acquire(timeout=self._timeout_s):
            raise VectorsUnavailable(f"all connections to the vector store {self._url} are busy")
        try:
            status, raw = self._answer(method, path, content, timeout_s or self._timeout_s)
        finally:
            self._free.release()
        return None if status == nothing else self._read(status, raw)

    def _answer(
        self, method: str, path: str, content: bytes | None, timeout_s: float
    ) -> tuple[int, bytes]:
        timeout = (CONNECT_TIMEOUT_S, timeout_s)
        try:
            with self._session.request(
                method,
                f"{self._url}{path}",
                data=content,
                timeout=timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                raw = response.raw.read(ANSWER_BYTES_MAX + 1, decode_content=True)
                return response.status_code, raw
        except (requests.RequestException, HTTPError, OSError) as error:
            raise VectorsUnavailable(
                f"the vector store {self._url} does not answer: {_reason(error)}"
            ) from error

    def _read(self, status: int, raw: bytes) -> Any:
        if status in {401, 403}:
            raise VectorsUnavailable(
                f"the vector store {self._url} refuses us ({status}): see VECTOR_STORE_KEY"
            )
        if not 200 <= status < 300 or len(raw) > ANSWER_BYTES_MAX:
            said = raw[:_SAID_BYTES_MAX].decode("utf-8", "replace")
            raise VectorsUnavailable(f"the vector store {self._url} answers {status}: {said}")
        if not raw:
            return None
        try:
            return orjson.loads(raw)
        except ValueError as error:
            raise VectorsUnavailable(
                f"what answers at {self._url} is no Weaviate server"
            ) from error


def _reason(error: Exception) -> str:
    """Return the last cause, without the wrappings of two libraries."""
    cause: BaseException = error
    while cause.args and isinstance(inner := cause.args[-1], BaseException):
        cause = inner
    reason = getattr(cause, "reason", None)
    return str(reason or cause) or type(cause).__name__
