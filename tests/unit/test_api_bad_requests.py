"""Ids, paths, methods and headers that cannot be meant: refused in the one form."""

import re

import pytest

from tests.fakes.refusals import assert_refused
from tests.fakes.services import FakeCluster

BAD_IDS = ["a b", "a/b", "a:b", "ü", "x" * 129, ".", "..", "a\n", "{a}", "*", "%2e", "\u202e"]


@pytest.mark.parametrize("bad", ["", *BAD_IDS])
@pytest.mark.parametrize("field", ["session_id", "turn_id"])
def test_a_bad_id_in_a_body(field: str, bad: str) -> None:
    cluster = FakeCluster()

    answer = cluster.client().post("/chat", json={"message": "a", field: bad})

    assert_refused(answer, 400, "malformed")
    assert cluster.turns.submitted == []


@pytest.mark.parametrize("bad", [bad for bad in BAD_IDS if "/" not in bad])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/sessions/{}"),
        ("DELETE", "/v1/sessions/{}"),
        ("POST", "/v1/sessions/{}/turns"),
        ("GET", "/v1/sessions/s/turns/{}"),
        ("GET", "/v1/sessions/s/turns/{}/stream"),
        ("POST", "/v1/sessions/s/turns/{}/cancel"),
        ("GET", "/v1/knowledge/{}"),
        ("GET", "/v1/knowledge/{}/documents"),
        ("GET", "/v1/sources/{}/1/p"),
        ("GET", "/v1/sources/default/1/{}"),
    ],
)
def test_a_bad_id_in_a_path(method: str, path: str, bad: str) -> None:
    # The path as WSGI hands it over: the bytes of its UTF-8, read as Latin-1.
    raw = path.format(bad).encode().decode("latin-1")

    answer = FakeCluster().client().open(
        "/", method=method, json={"message": "a"} if method == "POST" else None,
        environ_overrides={"PATH_INFO": raw},
    )  # fmt: skip

    assert_refused(answer, 400, "malformed")


@pytest.mark.parametrize(
    "raw",
    ["/v1/sessions/\xff", "/v1/knowledge/default/documents/a\xff", "/\xc0\xaf", "/assets/\xed"],
)
def test_a_path_that_is_not_utf8(raw: str) -> None:
    answer = FakeCluster().client().get("/", environ_overrides={"PATH_INFO": raw})

    assert_refused(answer, 400, "malformed")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v1",
        "/v1/",
        "/v1//search",
        "/chat/x",
        "/v1/sessions/s/nothing",
        "/.env",
        "/static/x",
        "//evil.example/..",
    ],
)
def test_an_unknown_route(path: str) -> None:
    answer = FakeCluster().client().get("/", environ_overrides={"PATH_INFO": path})

    assert_refused(answer, 404, "not_found")


def test_a_wrong_method_says_which_are_right() -> None:
    client = FakeCluster().client()

    answer = client.put("/v1/sessions/s")
    strange = client.open("/chat", method="BREW")

    assert_refused(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS"
    assert_refused(strange, 405, "method_not_allowed")
    assert 'method="BREW"' not in client.get("/metrics").text


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": ";;;,,,q=="},
        {"Accept": "text/event-stream;q=NaN"},
        {"Content-Type": "\x7f/;;"},
        {"X-Trace-ID": "a b"},
        {"X-Trace-ID": "x" * 5_000},
        {"X-Trace-ID": "ü"},
        {"Traceparent": "ü"},
        {"X-Balancer-Start": "²"},
        {"If-None-Match": 'W/"'},
        {"Cookie": "=;=;\x01"},
        {"Authorization": "Basic %%%"},
        {"Range": "bytes=9-1"},
        {"Host": "a b c"},
        {"Host": "[::1"},
        {"Content-Length": "-5"},
        {"Content-Length": "ten"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/", "/v1/cluster", "/v1/sessions", "/v1/sessions/s/turns/t/stream"]
)
def test_strange_headers_break_nothing(path: str, headers: dict[str, str]) -> None:
    environ = {
        f"HTTP_{name.upper().replace('-', '_')}".replace("HTTP_CONTENT", "CONTENT"): value
        for name, value in headers.items()
    }

    answer = FakeCluster().client().get(path, environ_overrides=environ)

    assert answer.status_code < 500
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Trace-ID"])
