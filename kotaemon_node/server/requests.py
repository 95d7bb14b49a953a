"""Counts the requests that a pod is answering, so that it can leave between two of them.

Bodies are sent in small pieces: how long a client may take is counted for each.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kotaemon_node.api.observed import ACTIVE
from kotaemon_node.api.sse import LastingBody
from kotaemon_node.domain import limits

StartResponse = Callable[..., Any]
Environ = dict[str, Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class CountedRequests:
    """A WSGI application around another. ``active`` counts calls whose body is not finished.

    Greenlets switch only where they wait, so plain addition is exact.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self.active = 0

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        self.active += 1
        environ[ACTIVE] = self.active
        try:
            body = self._application(environ, start_response)
        except BaseException:
            self.active -= 1
            raise
        return CountedBody(body, self, start_response)


class CountedBody:
    """A response body that says when it is finished, also when the client went away."""

    __slots__ = ("_body", "_open", "_requests", "start_response")

    def __init__(
        self, body: Iterable[bytes], requests: CountedRequests, start_response: StartResponse
    ) -> None:
        self._body = body
        self._requests = requests
        self._open = True
        self.start_response: StartResponse | None = start_response
        """What the head was given to, for as long as somebody may need it."""

    @property
    def lasts(self) -> bool:
        """Whether it is to be sent by a task of its own."""
        return isinstance(self._body, LastingBody)

    def __iter__(self) -> Iterator[bytes]:
        return (piece for item in self._body for piece in in_pieces(item))

    def items(self) -> Iterator[bytes]:
        """Return what the application gives, as it gives it."""
        return iter(self._body)

    def close(self) -> None:
        """Called by the server once, whatever happened; see PEP 3333."""
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                close()
        finally:
            if self._open:
                self._open = False
                self._requests.active -= 1


def in_pieces(item: bytes) -> Iterator[bytes]:
    """Cut into pieces for each of which a client has ``CLIENT_STALL_S``."""
    size = limits.CLIENT_PIECE_BYTES
    return (item[start : start + size] for start in range(0, len(item), size))
