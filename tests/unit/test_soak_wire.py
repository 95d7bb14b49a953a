"""Answers of HTTP as a soak's clients take them apart, however their bytes are cut."""

import pytest

from load.soak.wire import Broken, Response

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"7\r\nevent: \r\n4;x=y\r\ntext\r\n2\r\n\n\n\r\n0\r\n\r\n"
)
PLAIN = b'HTTP/1.1 503 Busy\r\nX-Served-By: w\r\nContent-Length: 12\r\n\r\n{"error": 1}'


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 1_000])
@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (CHUNKED, 200, b"event: text\n\n"),
        (PLAIN, 503, b'{"error": 1}'),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    ],
)
def test_an_answer_is_the_same_however_it_is_cut(
    sent: bytes, status: int, body: bytes, size: int
) -> None:
    answer, found = Response(), b""
    for start in range(0, len(sent), size):
        assert not answer.whole or sent[start:] in b"\r\n\r\n"
        found += b"".join(answer.feed(sent[start : start + size]))
    assert (answer.status, found) == (status, body)
    if status != 204:
        assert answer.whole


def test_headers_are_known_by_their_names_in_small_letters() -> None:
    answer = Response()
    assert list(answer.feed(PLAIN)) == [b'{"error": 1}']
    assert answer.headers["x-served-by"] == "w"


def test_an_answer_that_is_not_there_yet_has_no_status() -> None:
    answer = Response()
    assert list(answer.feed(PLAIN[:20])) == []
    assert (answer.status, answer.whole) == (0, False)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no status"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "neither length nor chunks"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000, "a head has no end"),
        (CHUNKED.replace(b"7\r\n", b"zz\r\n"), "no size of a chunk"),
        (CHUNKED.partition(b"7\r\n")[0] + b"1" * 2_000, "a chunk has no size"),
    ],
)
def test_what_is_no_http_is_refused(sent: bytes, told: str) -> None:
    with pytest.raises(Broken, match=told):
        list(Response().feed(sent))
