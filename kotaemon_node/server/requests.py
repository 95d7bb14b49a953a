"""Counts the requests that a pod is answering, so that it can leave between two of them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

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
        try:
            body = self._application(environ, start_response)
        except BaseException:
            self.active -= 1
            raise
        return _CountedBody(body, self)


class _CountedBody:
    """A response body that says when it is finished, also when the client went away."""

    def __init__(self, body: Iterable[bytes], requests: CountedRequests) -> None:
        self._body = body
        self._requests = requests
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
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
