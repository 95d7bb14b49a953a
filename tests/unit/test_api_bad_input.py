"""Whatever is sent, the answer is a clear 4xx in the one form, and the pod is as it was."""

import socket
import threading
from typing import Any

import orjson
import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.limits import (
    BODY_BYTES_MAX,
    JSON_DEPTH_MAX,
    JSON_VALUES_MAX,
    MESSAGE_CHARS_MAX,
)
from tests.fakes.refusals import assert_refused
from tests.fakes.services import FakeCluster

JSON = "application/json"
BODY_ROUTES = (
    "/chat",
    "/v1/sessions",
    "/v1/sessions/s/turns",
    "/v1/sessions/s/turns/t/cancel",
)


@pytest.mark.parametrize("route", BODY_ROUTES)
@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"{",
        b'{"message": "a"} {"message": "b"}',
        b'{"message": "a",}',
        b"{'message': 'a'}",
        b'{"message": NaN}',
        b'{"message": "tab\tinside"}',
        b'\xef\xbb\xbf{"message": "byte order mark"}',
        '{"message": "a"}'.encode("utf-16"),
        b'{"message": "\xff\xfe"}',
        b'{"message": "\xc0\xaf overlong"}',
        b'{"message": "\xed\xa0\x80 surrogate"}',
        b'{"message": "\\ud800"}',
        b'{"message": "\\udc00\\ud800"}',
        b"[]",
        b'"text"',
        b"null",
        b"12",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"message": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\x00",
        b"  ",
    ],
)
def test_a_body_that_cannot_be_read(route: str, body: bytes) -> None:
    answer = FakeCluster().client().post(route, data=body, content_type=JSON)

    assert_refused(answer, 400, "malformed")


def test_depth_is_counted_exactly() -> None:
    client = FakeCluster().client()
    # The object itself and ``context`` are two levels.
    deepest = b"[" * (JSON_DEPTH_MAX - 2) + b"]" * (JSON_DEPTH_MAX - 2)

    allowed = client.post(
        "/v1/sessions", data=b'{"context": {"a": %s}}' % deepest, content_type=JSON
    )
    too_deep = client.post(
        "/v1/sessions", data=b'{"context": {"a": [%s]}}' % deepest, content_type=JSON
    )

    assert allowed.status_code == 201
    assert_refused(too_deep, 400, "malformed")


@pytest.mark.parametrize("route", BODY_ROUTES)
def test_an_announced_11_mb_body_is_refused_unread(route: str) -> None:
    read = Unread()

    answer = (
        FakeCluster()
        .client()
        .post(
            route,
            content_type=JSON,
            environ_overrides={"wsgi.input": read, "CONTENT_LENGTH": str(11 * 1024 * 1024)},
        )
    )

    assert_refused(answer, 413, "too_large")
    assert read.bytes == 0


@pytest.mark.parametrize("route", BODY_ROUTES)
def test_an_unannounced_11_mb_body_is_read_up_to_the_limit(route: str) -> None:
    read = Unread()

    answer = (
        FakeCluster()
        .client()
        .post(
            route,
            content_type=JSON,
            environ_overrides={
                "wsgi.input": read,
                "wsgi.input_terminated": True,
                "HTTP_TRANSFER_ENCODING": "chunked",
            },
        )
    )

    assert_refused(answer, 413, "too_large")
    assert read.bytes <= BODY_BYTES_MAX + 2 * 65_536


def test_a_body_of_many_small_values_is_refused_before_it_is_parsed() -> None:
    body = b'{"a": [' + b"[]," * JSON_VALUES_MAX + b"[]]}"

    answer = FakeCluster().client().post("/chat", data=body, content_type=JSON)

    assert_refused(answer, 413, "too_large")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
    ],
)
def test_a_body_said_to_be_something_else(content_type: str) -> None:
    answer = (
        FakeCluster().client().post("/chat", data=b'{"message": "a"}', content_type=content_type)
    )

    assert_refused(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", [None, JSON, "Application/JSON; charset=utf-8", "application/json;x"]
)
def test_a_body_said_to_be_json_or_nothing(content_type: str | None) -> None:
    answer = (
        FakeCluster().client().post("/chat", data=b'{"message": "a"}', content_type=content_type)
    )

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "message"),
        ({"message": None}, "message"),
        ({"message": 7}, "message"),
        ({"message": True}, "message"),
        ({"message": ["a"]}, "message"),
        ({"message": {"text": "a"}}, "message"),
        ({"message": ""}, "message"),
        ({"message": " \n\t　"}, "message"),
        ({"message": "a\x00b"}, "message"),
        ({"message": "a", "turn_id": 7}, "turn_id"),
        ({"message": "a", "on_busy": "later"}, "on_busy"),
        ({"message": "a", "kb": ["shop"]}, "kb"),
        ({"message": "a", "min_generation": -1}, "min_generation"),
        ({"message": "a", "min_generation": "3"}, "min_generation"),
        ({"message": "a", "min_generation": 2.5}, "min_generation"),
        ({"message": "a", "min_generation": True}, "min_generation"),
        ({"message": "a", "min_generation": 2**60}, "min_generation"),
        ({"message": "a", "intent_filter": "query_order"}, "intent_filter"),
        ({"message": "a", "intent_filter": [7]}, "intent_filter.0"),
    ],
)
def test_a_field_of_a_wrong_type_is_named(fields: dict[str, Any], field: str) -> None:
    cluster = FakeCluster()

    answer = cluster.client().post("/v1/sessions/s/turns", json=fields)

    assert_refused(answer, 422, "invalid")
    assert answer.json["error"]["message"].startswith(f"{field}: ")
    assert cluster.turns.submitted == []


def test_of_many_wrong_fields_some_are_named() -> None:
    fields = {"turn_id": 1, "on_busy": 2, "kb": 3, "min_generation": "x", "intent_filter": 5}

    answer = FakeCluster().client().post("/v1/sessions/s/turns", json=fields)

    assert_refused(answer, 422, "invalid")
    assert answer.json["error"]["message"].endswith("; and 3 more")


def test_the_message_has_a_longest_length() -> None:
    client = FakeCluster().client()

    longest = client.post("/chat", json={"message": "货" * MESSAGE_CHARS_MAX})
    longer = client.post("/chat", json={"message": "货" * (MESSAGE_CHARS_MAX + 1)})
    far_longer = client.post("/chat", json={"message": "a" * 9_000_000})

    assert longest.status_code == 200
    assert_refused(longer, 413, "too_large")
    assert_refused(far_longer, 413, "too_large")
    assert len(far_longer.data) < 1_000


def test_a_client_that_leaves_in_the_middle_of_its_body() -> None:
    class Broken:
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError("gone")

        readline = read

    answer = (
        FakeCluster()
        .client()
        .post(
            "/chat",
            content_type=JSON,
            environ_overrides={"wsgi.input": Broken(), "CONTENT_LENGTH": "20"},
        )
    )

    assert_refused(answer, 400, "malformed")


def test_a_client_that_trickles_its_body_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_TIMEOUT_S", 0.05)
    ended = threading.Event()

    class Connection:
        def shutdown(self, how: int) -> None:
            assert how == socket.SHUT_RD
            ended.set()

    class Stuck:
        def read(self, _size: int = -1) -> bytes:
            assert ended.wait(60), "nobody ended the connection"
            raise OSError("closed")

    answer = (
        FakeCluster()
        .client()
        .post(
            "/v1/sessions",
            environ_overrides={
                "wsgi.input": Stuck(),
                "gunicorn.socket": Connection(),
                "CONTENT_LENGTH": "100",
                "CONTENT_TYPE": JSON,
            },
        )
    )

    assert_refused(answer, 504, "deadline_exceeded")


def test_after_all_that_the_pod_answers() -> None:
    client = FakeCluster().client()
    for body in (b"{", b"[" * 100_000, b'{"message": "\xff"}'):
        client.post("/chat", data=body, content_type=JSON)

    answer = client.post("/chat", data=orjson.dumps({"message": "still there?"}), content_type=JSON)

    assert answer.status_code == 200


class Unread:
    """An endless body that counts how much of it was read."""

    def __init__(self) -> None:
        self.bytes = 0

    def read(self, size: int = -1) -> bytes:
        taken = min(size, 65_536) if size >= 0 else 65_536
        self.bytes += taken
        return b" " * taken

    def readinto(self, buffer: Any) -> int:
        taken = min(len(buffer), 65_536)
        buffer[:taken] = b" " * taken
        self.bytes += taken
        return taken

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)

    def close(self) -> None:
        pass
