"""Bytes that are no request are refused by the pod's server in the form of every other error."""

import json

import pytest
from gunicorn.http import errors

from kotaemon_node.server.refusals import failure, refusal

TRACE = "0af7651916cd43dd8448eb211c80319c"


def parts(answer: bytes | None) -> tuple[int, dict[str, str], dict[str, object]]:
    assert answer is not None
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert int(headers["Content-Length"]) == len(body)
    return int(first.split()[1]), headers, json.loads(body)["error"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidRequestLine("GET <script>\r\nX: y"), 400, "malformed"),
        (errors.InvalidHeader("a\r\nSet-Cookie: b"), 400, "malformed"),
        (errors.InvalidHeaderName("\x0b"), 400, "malformed"),
        (errors.UnsupportedTransferCoding("chunked, gzip"), 400, "malformed"),
        (errors.InvalidChunkSize(b"Z"), 400, "malformed"),
        (errors.LimitRequestLine(9_000, 8_190), 413, "too_large"),
        (errors.LimitRequestHeaders("limit request headers fields"), 413, "too_large"),
    ],
)
def test_what_is_no_request_is_refused_and_nothing_of_it_comes_back(
    error: Exception, status: int, code: str
) -> None:
    answer = refusal(error, trace_id=TRACE)

    told, headers, body = parts(answer)
    assert (told, body["code"], body["retryable"]) == (status, code, False)
    assert body["trace_id"] == headers["X-Trace-ID"] == TRACE
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Connection"] == "close"
    assert body["message"]
    assert b"script" not in (answer or b"")
    assert b"Set-Cookie" not in (answer or b"")


@pytest.mark.parametrize(
    "error", [RuntimeError("a bug"), errors.InvalidResponseHeader("ours"), OSError(5, "x")]
)
def test_what_failed_on_our_side_is_no_fault_of_the_client(error: Exception) -> None:
    assert refusal(error, trace_id=TRACE) is None
    status, _, body = parts(failure(trace_id=TRACE))
    assert (status, body["code"], body["trace_id"]) == (500, "internal", TRACE)
