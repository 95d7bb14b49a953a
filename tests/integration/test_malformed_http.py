"""Malformed HTTP through the real balancer and to a real pod: one reading, and others unharmed.

All cases of the public set are measured by ``python -m load.bench.bad_input``.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kotaemon_node.domain import limits
from load.bad_input.messages import SMUGGLED, Message, Player, messages
from load.bad_input.site import Site
from load.bad_input.wire import exchange
from tests.redis_server import RedisServer

SAMPLED = 12
"""Of the public set, every so manieth message in a short run."""
_HOST = b"Host: pod\r\n"
_JSON = b"Content-Type: application/json\r\n"
_POST = b"POST /chat HTTP/1.1\r\n" + _HOST + _JSON
_HIDDEN = b"0\r\n\r\nGET " + SMUGGLED.encode() + b" HTTP/1.1\r\nHost: pod\r\nX: "
_LENGTH = b"Content-Length: %d\r\n" % len(_HIDDEN)
_CHUNKED = b"Transfer-Encoding: chunked\r\n"


def smuggling(*headers: bytes) -> bytes:
    return _POST + b"".join(headers) + b"\r\n" + _HIDDEN


SMUGGLING = {
    "both lengths": smuggling(_LENGTH, _CHUNKED),
    "both lengths, the other way": smuggling(_CHUNKED, _LENGTH),
    "a blank before the colon": smuggling(_LENGTH, b"Transfer-Encoding : chunked\r\n"),
    "a tab behind": smuggling(_LENGTH, b"Transfer-Encoding: chunked\t\r\n"),
    "a vertical tab": smuggling(_LENGTH, b"Transfer-Encoding:\x0bchunked\r\n"),
    "another coding": smuggling(_LENGTH, b"Transfer-Encoding: xchunked\r\n"),
    "two codings": smuggling(_LENGTH, b"Transfer-Encoding: chunked, identity\r\n"),
    "two headers of it": smuggling(_LENGTH, _CHUNKED, b"Transfer-Encoding: x\r\n"),
    "behind a folded line": smuggling(_LENGTH, b"X: y\r\n Transfer-Encoding: chunked\r\n"),
    "behind a bare line feed": smuggling(_LENGTH, b"X: y\nTransfer-Encoding: chunked\r\n"),
    "behind a bare carriage return": smuggling(_LENGTH, b"X: y\rTransfer-Encoding: chunked\r\n"),
    "two lengths": smuggling(_LENGTH, b"Content-Length: 5\r\n"),
    "a list of lengths": smuggling(b"Content-Length: 5, %d\r\n" % len(_HIDDEN)),
    "a length with a sign": smuggling(b"Content-Length: +%d\r\n" % len(_HIDDEN)),
    "a length with a line": smuggling(b"Content-Length: 5_0\r\n"),
    "of an older version": smuggling(_LENGTH, _CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "a size that is too large": smuggling(_CHUNKED) + b"\r\nfffffffffffffffff\r\nx",
    "a size with a sign": _POST + _CHUNKED + b"\r\n+2\r\n{}\r\n0\r\n\r\n",
    "an underline in the name": smuggling(_LENGTH, b"Transfer_Encoding: chunked\r\n"),
    "a body of a GET": b"GET /v1/me HTTP/1.1\r\n" + _HOST + _LENGTH + b"\r\n" + _HIDDEN,
}
STRANGE = {
    "an absolute target": b"GET http://elsewhere.example/v1/me HTTP/1.1\r\nHost: pod\r\n\r\n",
    "two hosts": b"GET /v1/me HTTP/1.1\r\nHost: pod\r\nHost: elsewhere.example\r\n\r\n",
    "no host": b"GET /v1/me HTTP/1.1\r\n\r\n",
    "a tunnel": b"CONNECT 127.0.0.1:6379 HTTP/1.1\r\nHost: 127.0.0.1:6379\r\n\r\n",
    "a trace": b"TRACE / HTTP/1.1\r\nHost: pod\r\nX-API-Key: secret\r\n\r\n",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "Redis": b"*1\r\n$8\r\nFLUSHALL\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9": b"GET / HTTP/9.9\r\nHost: pod\r\n\r\n",
    "an upgrade to HTTP/2": b"GET /v1/me HTTP/1.1\r\nHost: pod\r\n"
    b"Connection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    "a method of its own": b"\xf0\x9f\x92\xa9 / HTTP/1.1\r\nHost: pod\r\n\r\n",
    "a NUL": b"GET /v1/me HTTP/1.1\r\nHost: pod\r\nX: a\x00b\r\n\r\n",
    "half a head": b"GET /v1/me HTTP/1.1\r\nHost: p",
    "half a body": _POST + b"Content-Length: 100\r\n\r\n{",
    "nothing": b"",
}


@pytest.fixture(scope="module")
def site(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), redis_server.url) as running:
        yield running


@pytest.fixture(scope="module")
def player(site: Site) -> Player:
    return Player(site)


def faults(player: Player, played: Sequence[Message]) -> list[tuple[str, str]]:
    found = []
    for message in played:
        for result in (player.balanced(message), player.direct(message)):
            if result.fault:
                found.append((result.id, result.fault))
    return found


@pytest.mark.parametrize("name", [*SMUGGLING, *STRANGE])
def test_what_may_be_read_in_two_ways_is_read_in_one(player: Player, name: str) -> None:
    raw = {**SMUGGLING, **STRANGE}[name]
    assert faults(player, [Message(name, raw, "no-desync")]) == []


def test_no_hidden_request_ever_reached_the_pod(site: Site, player: Player) -> None:
    faults(player, [Message(name, raw, "no-desync") for name, raw in SMUGGLING.items()])
    assert [line for line in site.read() if SMUGGLED in line["target"]] == []


LONG = b"a" * limits.HEADER_LINE_BYTES_MAX


@pytest.mark.parametrize(
    "head",
    [b"GET /" + LONG + b" HTTP/1.1", b"GET / HTTP/1.1\r\nX: " + LONG],
    ids=["line", "header"],
)
def test_a_head_over_its_limits_is_told_so_by_the_pod(site: Site, head: bytes) -> None:
    for port in (site.balancer_port, site.pod_port):
        got = exchange(port, head + b"\r\nHost: pod\r\n\r\n")
        assert [it.status for it in got.answers] == [413]
        assert b'"code":"too_large"' in got.raw
        assert b"belongs into a body" in got.raw


def test_too_many_headers_are_told_so_those_of_the_balancer_among_them(site: Site) -> None:
    for port, count in ((site.balancer_port, limits.HEADERS_MAX - 1), (site.pod_port, 101)):
        got = exchange(port, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * count + b"\r\n")
        assert [it.status for it in got.answers] == [413]


@pytest.mark.data
def test_messages_of_the_public_set_have_one_reading(player: Player, public_data: Path) -> None:
    found = list(messages(public_data))[::SAMPLED]
    assert len(found) > 50
    assert faults(player, found) == []


@pytest.mark.data
@pytest.mark.long
def test_so_have_all_of_them(player: Player, public_data: Path) -> None:
    found = list(messages(public_data))
    assert len(found) > 1_000
    assert faults(player, found) == []
    print(f"{len(found)} messages, each through the balancer and straight to the pod")
