"""Routes by which a session goes to a person and back."""

from collections.abc import Sequence

from kotaemon_node.domain.errors import Conflict
from kotaemon_node.domain.handoff import By, Handoff
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.handoffs import HandedSession
from tests.fakes.refusals import assert_refused
from tests.fakes.services import FakeCluster

SESSION = "/v1/sessions/s1"


class Desk:
    """Hands over in memory, and notes what it was asked."""

    def __init__(self) -> None:
        self.handoff: Handoff | None = None
        self.said: list[tuple[str, str, str]] = []

    def begin(
        self, key: SessionKey, principal: Principal, *, by: By, reason: str, trace_id: str
    ) -> Handoff:
        self.handoff = self.handoff or Handoff(17.5, reason, by)
        return self.handoff

    def end(self, key: SessionKey, principal: Principal, *, by: By, trace_id: str) -> None:
        self.handoff = None

    def say(
        self, key: TurnKey, principal: Principal, *, text: str, name: str, trace_id: str
    ) -> Turn:
        if self.handoff is None:
            raise Conflict("no person has this session")
        self.said.append((key.turn_id, text, name))
        return Turn(key.turn_id, "", State.DONE, answer=text, author="agent", name=name)

    def waiting(self, tenant: str, *, limit: int) -> Sequence[HandedSession]:
        return [HandedSession("s1", self.handoff, 18.0)] if self.handoff else []

    def forget(self, key: SessionKey) -> None:
        self.handoff = None


def test_a_session_goes_to_a_person_and_back() -> None:
    desk = Desk()
    client = FakeCluster(handoffs=desk).client()

    handed = client.post(f"{SESSION}/handoff", json={"reason": " refund "})
    again = client.post(f"{SESSION}/handoff")
    said = client.post(
        f"{SESSION}/agent-messages", json={"text": "Hi", "message_id": "m1", "name": "Ann"}
    )
    listed = client.get("/v1/handoffs?limit=5")
    back = client.post(f"{SESSION}/handback")

    told = {"since": 17.5, "reason": "refund", "by": "customer"}
    assert handed.json == again.json == {"session_id": "s1", "handoff": told}
    assert said.status_code == 200
    assert (said.json["turn_id"], said.json["answer"]) == ("m1", "Hi")
    assert (said.json["author"], said.json["name"]) == ("agent", "Ann")
    assert desk.said == [("m1", "Hi", "Ann")]
    assert listed.json == {"sessions": [{"session_id": "s1", "handoff": told, "spoken_at": 18.0}]}
    assert client.get("/v1/handoffs").json == {"sessions": []}
    assert back.json == {"session_id": "s1", "handoff": None}


def test_a_message_needs_a_session_that_a_person_has() -> None:
    client = FakeCluster(handoffs=Desk()).client()

    assert_refused(
        client.post(f"{SESSION}/agent-messages", json={"text": "Hi"}), 409, code="conflict"
    )


def test_a_repeat_by_the_balancer_has_the_same_message_id() -> None:
    desk = Desk()
    client = FakeCluster(handoffs=desk).client()
    client.post(f"{SESSION}/handoff")

    for _ in range(2):
        client.post(
            f"{SESSION}/agent-messages", json={"text": "Hi"}, headers={"X-Turn-Default": "b1"}
        )

    assert [turn_id for turn_id, _, _ in desk.said] == ["b1", "b1"]
