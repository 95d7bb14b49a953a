"""Who may connect to ``/ws/chat``: handshakes, origins, credentials, and credentials that end."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from kotaemon_node.api.app import create_app
from kotaemon_node.api.websocket.rules import SocketRules
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Unauthenticated
from kotaemon_node.domain.session import Principal
from tests.fakes.services import FakeCluster
from tests.raw_websocket import TEXT, RawSocket, frame
from tests.socket_server import SocketServer
from tests.socket_talk import hear, hear_turn, say

OTHER = "https://chat.example.com"
_KEY = base64.b64encode(b"0123456789abcdef").decode()


class FakeAuthority:
    """Knows one key, until it is revoked; every id of a session was minted for its holder."""

    def __init__(self) -> None:
        self.revoked = False

    def admit(self, text: str) -> Principal:
        if text != "good" or self.revoked:
            raise Unauthenticated("the credential is not known, or it was revoked")
        return Principal("default", "ann", "customer")

    def mint(self, principal: Principal, *, seed: str) -> str:
        return f"minted-{len(seed)}"

    def require_own(self, principal: Principal, session_id: str) -> None:
        """It is."""


@pytest.fixture
def port() -> Iterator[int]:
    cluster = FakeCluster()
    app = create_app(cluster.services())
    with SocketServer(app) as server:
        yield server.port


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Connection": "keep-alive, Upgrade"}, 101),
        ({"Upgrade": "WebSocket"}, 101),
        ({"Upgrade": "h2c"}, 426),
        ({"Upgrade": ""}, 426),
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Version": ""}, 426),
        ({"Sec-WebSocket-Key": ""}, 400),
        ({"Sec-WebSocket-Key": "c2hvcnQ="}, 400),
        ({"Sec-WebSocket-Key": "ä" * 8}, 400),
    ],
)
def test_a_handshake_is_as_the_protocol_says(
    port: int, headers: dict[str, str], status: int
) -> None:
    assert RawSocket(port, "/ws/chat", headers).status == status


def test_the_answer_proves_that_the_handshake_was_read(port: int) -> None:
    head = RawSocket(port, "/ws/chat", {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}).head

    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    assert "X-Trace-ID: " in head
    assert "Content-Length" not in head
    assert "Sec-WebSocket-Extensions" not in head


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("", 101),  # no browser
        ("http://127.0.0.1:{port}", 101),
        ("https://127.0.0.1:{port}", 101),  # TLS may end before the pod
        (OTHER, 101),
        (OTHER.upper(), 101),
        ("https://chat.example.com.evil.example", 403),
        ("http://chat.example.com", 403),
        ("http://127.0.0.1", 403),
        ("http://evil.example:{port}", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_pages_of_other_origins_are_refused(origin: str, status: int) -> None:
    services: Any = FakeCluster().services()
    app = create_app(
        type(services)(
            **{
                **{name: getattr(services, name) for name in services.__dataclass_fields__},
                "sockets": SocketRules.of(f" {OTHER}/ ,", chars_per_s=50_000),
            }
        )
    )
    with SocketServer(app) as server:
        headers = {"Origin": origin.replace("{port}", str(server.port))}
        assert RawSocket(server.port, "/ws/chat", headers).status == status


def test_a_credential_is_needed_and_ends_the_connection_when_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "API_KEYS_KNOWN_S", 0.0)
    authority = FakeAuthority()
    cluster = FakeCluster(auth_mode="keys", authority=authority)  # type: ignore[arg-type]
    with SocketServer(create_app(cluster.services())) as server:
        address = f"{server.url}/ws/chat"
        for headers in ({}, {"X-API-Key": "bad"}):
            with pytest.raises(InvalidStatus) as refused:
                connect(address, additional_headers=headers)
            assert refused.value.response.status_code == 401
        with connect(address, additional_headers={"X-API-Key": "good"}) as client:
            client.send("May I?")
            begun, *frames = hear_turn(client)
            assert begun["session_id"].startswith("minted-")
            assert frames[-1]["type"] == "done"
            say(client, "message", session_id="unknown", text="May I?")
            assert hear(client)["code"] == "session_not_found"
            authority.revoked = True
            say(client, "ping")
            told = hear(client)
            with pytest.raises(ConnectionClosed) as caught:
                hear(client)

    assert (told["type"], told["code"]) == ("error", "unauthenticated")
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008


def test_a_revoked_credential_ends_a_silent_connection_at_its_next_ping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "API_KEYS_KNOWN_S", 0.0)
    monkeypatch.setattr(limits, "HEARTBEAT_IDLE_S", 0.2)
    authority = FakeAuthority()
    cluster = FakeCluster(auth_mode="keys", authority=authority)  # type: ignore[arg-type]
    with SocketServer(create_app(cluster.services())) as server:
        client = RawSocket(server.port, "/ws/chat", {"X-API-Key": "good"})
        authority.revoked = True
        got = client.rest()

    assert got[-1].code == 1008


def test_frames_right_behind_the_handshake_are_heard(port: int) -> None:
    client = RawSocket(port, "/ws/chat")
    client.send(frame(TEXT, b'{"type": "ping"}'))

    got = client.receive()

    assert got is not None
    assert b'"pong"' in got.payload
