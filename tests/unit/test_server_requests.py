"""Counting the requests that a pod is answering."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from kotaemon_node.server.requests import CountedRequests


class Body:
    """A response body that knows whether it was closed."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)

    def close(self) -> None:
        self.closed = True


def test_a_request_counts_until_its_body_is_closed_and_once_only() -> None:
    body = Body([b"a", b"b"])
    requests = CountedRequests(lambda environ, start_response: body)

    answer: Any = requests({}, lambda *_: None)
    assert requests.active == 1
    assert list(answer) == [b"a", b"b"]
    assert requests.active == 1
    answer.close()
    answer.close()
    assert requests.active == 0
    assert body.closed


def test_a_body_without_close_and_one_whose_close_fails_are_counted_out() -> None:
    class Failing(Body):
        def close(self) -> None:
            raise OSError("the client is gone")

    bodies: list[Iterable[bytes]] = [[b"a"], Failing([])]
    requests = CountedRequests(lambda environ, start_response: bodies.pop(0))
    plain: Any = requests({}, lambda *_: None)
    plain.close()
    failing: Any = requests({}, lambda *_: None)
    with pytest.raises(OSError, match="gone"):
        failing.close()
    assert requests.active == 0


def test_an_application_that_raises_is_counted_out() -> None:
    def broken(environ: Any, start_response: Any) -> Iterable[bytes]:
        raise RuntimeError("a bug")

    requests = CountedRequests(broken)
    with pytest.raises(RuntimeError):
        requests({}, lambda *_: None)
    assert requests.active == 0
