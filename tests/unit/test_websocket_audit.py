"""Who reads or stops another's turn over ``/ws/chat`` stands in the audit log, as over HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from websockets.sync.client import connect

from kotaemon_node.api.app import create_app
from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.errors import SessionNotFound
from kotaemon_node.domain.session import Principal
from tests.fakes.services import FakeCluster
from tests.socket_server import SocketServer
from tests.socket_talk import hear, hear_turn, say


class Minted:
    """A key is a role; the ids of sessions begin with the subject that they were minted for."""

    def admit(self, text: str) -> Principal:
        return Principal("default", text, "agent" if text == "gus" else "customer")

    def mint(self, principal: Principal, *, seed: str) -> str:
        return f"{principal.subject}-1"

    def require_own(self, principal: Principal, session_id: str) -> None:
        if not session_id.startswith(principal.subject) and not principal.sees_all:
            raise SessionNotFound("no such session")


@dataclass
class Kept:
    """``ports.audit.AuditLog``."""

    events: list[AuditEvent] = field(default_factory=list)

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)

    def told(self) -> list[tuple[str, str, str]]:
        return [(one.action, one.subject, one.target) for one in self.events]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def address(kept: Kept) -> Iterator[str]:
    cluster = FakeCluster(auth_mode="keys", authority=Minted())  # type: ignore[arg-type]
    with SocketServer(create_app(replace(cluster.services(), audit=kept))) as server:
        yield f"{server.url}/ws/chat"


def asked(address: str) -> tuple[str, str]:
    """Return session and turn of a question of Ann's."""
    with connect(address, additional_headers={"X-API-Key": "ann"}) as client:
        client.send("May I?")
        begun, *_ = hear_turn(client)
        return begun["session_id"], begun["turn_id"]


def test_what_an_agent_reads_and_stops_of_another_is_told(address: str, kept: Kept) -> None:
    session_id, turn_id = asked(address)
    place = {"session_id": session_id, "turn_id": turn_id}
    with connect(address, additional_headers={"X-API-Key": "gus"}) as client:
        say(client, "resume", **place, after=0)
        assert hear_turn(client)[-1]["type"] == "done"
        say(client, "cancel", **place)
        say(client, "ping")
        assert hear(client)["type"] == "pong"
    assert kept.told() == [
        ("session.read", "gus", session_id),
        ("turn.cancelled", "gus", f"{session_id}/{turn_id}"),
    ]


def test_what_one_does_with_ones_own_session_is_no_entry(address: str, kept: Kept) -> None:
    session_id, turn_id = asked(address)
    place = {"session_id": session_id, "turn_id": turn_id}
    with connect(address, additional_headers={"X-API-Key": "ann"}) as client:
        say(client, "resume", **place, after=0)
        assert hear_turn(client)[-1]["type"] == "done"
        say(client, "cancel", **place)
        say(client, "ping")
        assert hear(client)["type"] == "pong"
    assert kept.told() == []
