"""Pods of one process with a desk for handoffs, for tests on a real Redis."""

from collections.abc import Sequence
from typing import Any

from kotaemon_node.adapters.redis.handoffs import RedisHandoffs
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.handoff import By, Handoff
from kotaemon_node.domain.session import SessionKey, Turn
from kotaemon_node.engine.handing import HandoffDesk
from kotaemon_node.engine.handoff import Persons
from tests.engine_pods import ANYBODY, TestPod, key
from tests.redis_server import Server

SESSION = SessionKey("default", "s1")
WAIT_S = 60.0


class DeskPod(TestPod):
    """A pod that can hand its sessions over."""

    __test__ = False

    def __init__(self, name: str, server: Server, gate: Any = None, **engine: Any) -> None:
        persons = Persons()
        super().__init__(name, server, gate, persons=persons, **engine)
        self.handoffs = RedisHandoffs(self.store, ttl_s=3600)
        clock = self.engine._clock
        persons = Persons(clock.now_s, handoffs=self.handoffs, metrics=self.metrics.acting)
        object.__setattr__(self.engine._execution, "persons", persons)
        self.desk = HandoffDesk(
            sessions=self.sessions,
            handoffs=self.handoffs,
            turns=self.engine,
            persons=persons,
            clock=clock,
            ids=self.engine._ids,
            metrics=self.metrics,
        )

    def hand_off(self, *, reason: str = "", by: By = "customer") -> Handoff:
        return self.desk.begin(SESSION, ANYBODY, by=by, reason=reason, trace_id="trace-h")

    def hand_back(self) -> None:
        self.desk.end(SESSION, ANYBODY, by="agent", trace_id="trace-b")

    def say(self, text: str, *, message_id: str, name: str = "Ann") -> Turn:
        return self.desk.say(key(message_id), ANYBODY, text=text, name=name, trace_id="trace-a")

    def ask(self, turn_id: str, message: str = "when?") -> Turn:
        """Send a message and return its finished turn."""
        self.submit(turn_id, message=message)
        turn = self.engine.wait(key(turn_id), ANYBODY, timeout_s=WAIT_S)
        assert turn is not None
        return turn

    def history(self) -> Sequence[Turn]:
        return self.sessions.load(SESSION, ANYBODY, after_version=0, limit=100).turns

    def with_person(self) -> Handoff | None:
        return self.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).handoff


def bot_text_behind_handoff(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames of a turn by which a bot speaks behind the handoff."""
    places = [place for place, one in enumerate(frames) if _begins(one)]
    behind = frames[places[0] + 1 :] if places else []
    return [one for one in behind if one.type in {"text", "restart"} and "author" not in one.fields]


def _begins(frame: Frame) -> bool:
    return frame.type == "handoff" and bool(frame.fields["active"])
