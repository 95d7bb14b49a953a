"""HTTP/2 at the balancer: broken frames end, strange requests stay one, floods are bounded."""

from collections.abc import Iterator

import pytest

from load.bad_input.http2 import BROKEN, GOAWAY, PREFACE, floods, strange
from load.bad_input.tls_site import TlsSite, broken_fault, flood_fault, strange_fault
from tests.redis_server import RedisServer

FLOOD = 20_000


@pytest.fixture(scope="module")
def site(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsSite]:
    with TlsSite(tmp_path_factory.mktemp("site"), redis_server.url) as running:
        yield running


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_frame_ends_its_stream_or_connection_alone(site: TlsSite, case: str) -> None:
    assert broken_fault(site, BROKEN[case]) == ""


@pytest.mark.parametrize("case", strange())
def test_a_strange_request_is_one_request_or_none(site: TlsSite, case: str) -> None:
    assert strange_fault(site, strange()[case]) == ""


def test_what_is_no_preface_is_no_connection(site: TlsSite) -> None:
    for raw in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", PREFACE.replace(b"SM", b"XX"), bytes(64)):
        with site.line() as line:
            line.send(raw)
            replied = line.read()
        assert replied.ended or replied.of(GOAWAY), raw
    assert site.serves()


@pytest.mark.long
@pytest.mark.parametrize("kind", floods(1))
def test_a_flood_costs_others_and_memory_nothing(site: TlsSite, kind: str) -> None:
    fault, seen = flood_fault(site, kind, FLOOD)
    print(kind, seen)
    assert fault == ""
