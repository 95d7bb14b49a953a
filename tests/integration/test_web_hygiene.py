"""What a browser, or somebody beside one, may try by hand through the real balancer."""

from collections.abc import Iterator

import pytest
import requests

from load.bad_input.doors import Caller, doors
from load.bad_input.site import Site
from load.bad_input.wire import exchange
from tests.redis_server import RedisServer

ELSEWHERE = "evil.example"
PATHS = ("/", "/admin", "/assets/main.js", "/v1/me", "/v1/sessions", "/openapi.json", "/nothing")


@pytest.fixture(scope="module")
def site(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), redis_server.url) as running:
        yield running


@pytest.mark.parametrize("path", PATHS)
def test_no_other_origin_may_read_anything(site: Site, path: str) -> None:
    asked = {"Origin": f"https://{ELSEWHERE}", "Access-Control-Request-Method": "POST"}
    for method in ("GET", "OPTIONS", "POST"):
        answer = requests.request(method, site.url + path, headers=asked, timeout=30)
        allowed = [name for name in answer.headers if name.lower().startswith("access-control")]
        assert allowed == [], method


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_says_what_browsers_need(site: Site, path: str) -> None:
    answer = requests.get(site.url + path, timeout=30)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in answer.headers
    if answer.headers["Content-Type"].startswith("text/html"):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    elif answer.headers["Content-Type"] == "application/json":
        wanted = "no-cache" if path == "/openapi.json" else "no-store"
        assert answer.headers["Cache-Control"] == wanted


@pytest.mark.parametrize(
    "named",
    [
        {"Host": ELSEWHERE},
        {"X-Forwarded-Host": ELSEWHERE},
        {"Forwarded": f"host={ELSEWHERE}"},
        {"X-Original-URL": f"//{ELSEWHERE}/"},
        {"X-Forwarded-Prefix": f"//{ELSEWHERE}"},
        {"X-Forwarded-For": ELSEWHERE},
    ],
    ids=lambda named: next(iter(named)),
)
def test_no_answer_leads_where_a_header_points(site: Site, named: dict[str, str]) -> None:
    for path in PATHS:
        answer = requests.get(site.url + path, headers=named, timeout=30, allow_redirects=False)
        assert not answer.is_redirect
        assert ELSEWHERE not in answer.text
        assert ELSEWHERE not in str(answer.headers)


@pytest.mark.parametrize(
    "target",
    [f"//{ELSEWHERE}", f"//{ELSEWHERE}/%2e%2e", f"/\\{ELSEWHERE}", f"/%2f{ELSEWHERE}",
     f"/admin//{ELSEWHERE}", f"/?next=//{ELSEWHERE}", f"/admin/../..//{ELSEWHERE}",
     f"http://{ELSEWHERE}/"],
)  # fmt: skip
def test_no_address_leads_elsewhere(site: Site, target: str) -> None:
    got = exchange(
        site.balancer_port, f"GET {target} HTTP/1.1\r\nHost: pod\r\n\r\n".encode("latin-1")
    )
    (answer,) = got.answers
    assert answer.status not in range(300, 400)
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "method", ["TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND", "PATCH", "get"]
)
def test_odd_methods_are_refused_and_echo_nothing(site: Site, method: str) -> None:
    target = "pod:443" if method == "CONNECT" else "/v1/me"
    for port in (site.balancer_port, site.pod_port):
        got = exchange(
            port, f"{method} {target} HTTP/1.1\r\nHost: pod\r\nX-API-Key: secret\r\n\r\n".encode()
        )
        assert [answer.status for answer in got.answers] in ([400], [404], [405]), got.raw
        assert b"secret" not in got.raw


def test_no_door_takes_a_method_that_it_does_not_describe(site: Site) -> None:
    caller = Caller(site.balancer_port)
    described = doors(caller)
    methods: dict[str, set[str]] = {}
    for door in described:
        methods.setdefault(door.path, set()).add(door.method)
    for door in described:
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - methods[door.path]:
            said = caller.ask(method, door.target(), body=b"{}")
            # A longer path may stand behind a parameter that takes slashes.
            assert said.status in {404, 405, 413, 415, 400, 422}, (method, door.path, said)
            assert said.status != 200


def test_an_upgrade_from_another_origin_is_refused_through_the_balancer(site: Site) -> None:
    for origin, status in ((f"https://{ELSEWHERE}", 403), ("null", 403), (site.url, 101)):
        head = (
            f"GET /ws/chat HTTP/1.1\r\nHost: {site.url.removeprefix('http://')}\r\n"
            f"Origin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        got = exchange(site.balancer_port, head.encode())
        assert got.raw.startswith(f"HTTP/1.1 {status} ".encode()), (origin, got.raw[:200])
