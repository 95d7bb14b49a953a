"""Channels of two pods on a real Redis: one turn and one reply a message, whatever dies."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisLater, RedisSessionStore, connect
from kotaemon_node.adapters.system import RandomIds, ThreadTasks
from kotaemon_node.adapters.webhooks import HttpSender
from kotaemon_node.api.app import create_app
from kotaemon_node.api.channel_forms import ChannelDesk
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.channels import Channel
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.domain.webhooks import headers_of, verify
from kotaemon_node.engine.channels import ChannelDelivery, ChannelReplies
from kotaemon_node.engine.follow_ups import FollowUps, FollowUpTurns
from kotaemon_node.engine.later import LaterWorker
from kotaemon_node.ports.later import CHANNEL_REPLY, FOLLOW_UP
from tests.engine_pods import ANYBODY, PIECES, Stall
from tests.fakes.credentials import FixedLines
from tests.fakes.services import FakeCluster
from tests.handed_pods import DeskPod
from tests.integration.test_webhooks_delivered import OLD as SECRET
from tests.integration.test_webhooks_delivered import Receiver
from tests.redis_server import RedisServer, ServerClock

ANSWER = "".join(PIECES)


def body_of(number: int, **more: Any) -> dict[str, Any]:
    text = f"When does parcel {number} come?"
    user = {"id": "u7", "name": "Ann"}
    return {
        **{"message_id": f"m-{number}", "user": user, "conversation_id": "c1", "text": text},
        **more,
    }


class ChannelPod:
    """A pod with a channel; ``works``: it carries delayed jobs out."""

    def __init__(
        self,
        name: str,
        server: RedisServer,
        channel: Channel,
        *,
        works: bool = True,
        gate: Any = None,
    ) -> None:
        self.later = RedisLater(connect(server.url))
        sessions = RedisSessionStore(connect(server.url), ttl_s=3600, idle_s=1800)
        replies = ChannelReplies([channel], sessions=sessions, later=self.later)
        self.pod = DeskPod(name, server, gate, tally=replies)
        lines = FixedLines([SECRET])
        self.delivery = ChannelDelivery(
            [channel], secrets={channel.name: lines}, sessions=sessions, sender=HttpSender()
        )
        services = replace(
            FakeCluster().services(),
            sessions=self.pod.sessions,
            turns=self.pod.engine,
            ids=RandomIds(),
            channels=ChannelDesk({channel.name: channel}, {channel.name: lines}, now_s=time.time),
        )
        self.app = create_app(services)
        self.stopped = not works
        self.worker = LaterWorker(
            self.later,
            handlers={
                CHANNEL_REPLY: self.delivery,
                FOLLOW_UP: FollowUpTurns(self.pod.sessions, self.pod.engine),
            },
            clock=ServerClock(server),
            ids=RandomIds(),
            tasks=ThreadTasks(),
            draining=lambda: self.stopped,
            jitter=lambda: 0.0,
        )
        self._thread = threading.Thread(target=self.worker.run, daemon=True)
        self._thread.start()

    def deliver(self, body: dict[str, Any]) -> Any:
        """Bring a message as the platform does."""
        raw = json.dumps(body).encode()
        signed = headers_of(raw, message_id="msg_in", at_s=time.time(), secrets=[SECRET])
        return self.app.test_client().post("/v1/channels/chat/messages", data=raw, headers=signed)

    def stop(self) -> None:
        self.stopped = True
        self.worker.wake()
        self._thread.join(60)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def pods(server: RedisServer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what starts a pod."""
    server.wipe()
    monkeypatch.setattr(limits, "LATER_BACKOFF_S", 0.02)
    monkeypatch.setattr(limits, "LATER_POLL_S", 0.02)
    started: list[ChannelPod] = []

    def start(name: str, *, wait_s: float = 0.0, **more: Any) -> ChannelPod:
        channel = Channel("chat", "default", reply_url=receiver.url, private=True, wait_s=wait_s)
        started.append(ChannelPod(name, server, channel, **more))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def replies(receiver: Receiver) -> list[dict[str, Any]]:
    """Return what was received, each id once, in the order of the session; all are signed."""
    found: dict[str, dict[str, Any]] = {}
    for headers, raw in list(receiver.got):
        message_id = verify(headers, raw, secrets=[SECRET], now_s=time.time())
        told = json.loads(raw)
        assert (told["type"], told["data"]["id"]) == ("channel.message", message_id)
        assert found.setdefault(message_id, told["data"]) == told["data"]
    return sorted(found.values(), key=lambda data: data["version"])


def key_of(answer: Any) -> TurnKey:
    return TurnKey(SessionKey("default", answer.json["session_id"]), answer.json["turn_id"])


def test_an_answer_goes_out_with_what_it_answers(pods: Any, receiver: Receiver) -> None:
    one = pods("pod-a")
    answer = one.deliver(body_of(1, context={"department": "sales"}))
    assert answer.status_code == 202
    one.pod.until(lambda: len(receiver.got) == 1)
    [told] = replies(receiver)
    assert (told["id"], told["text"], told["state"]) == (answer.json["id"], ANSWER, "done")
    assert (told["conversation_id"], told["in_reply_to"], told["kind"]) == ("c1", "m-1", "answer")
    assert told["user"] == {"id": "u7", "name": "Ann"}
    view = one.pod.sessions.load(key_of(answer).session, ANYBODY, after_version=0, limit=9)
    assert (view.channel, view.user_id, view.context["department"]) == ("chat", "u7", "sales")


def test_twenty_deliveries_over_two_pods_are_one_turn_and_one_reply(
    pods: Any, receiver: Receiver
) -> None:
    both = [pods("pod-a"), pods("pod-b")]
    barrier = threading.Barrier(20)

    def deliver(place: int) -> Any:
        barrier.wait(60)
        return both[place % 2].deliver(body_of(1))

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(deliver, range(20)))
    assert {one.status_code for one in answers} == {202}
    assert len({(one.json["id"], one.json["session_id"]) for one in answers}) == 1
    both[0].pod.until(lambda: len(receiver.got) >= 1)
    for one in both:
        one.pod.until_idle()
    assert both[0].deliver(body_of(1)).status_code == 202
    assert sum(len(one.pod.answerer.runs) for one in both) == 1
    assert len(receiver.got) == 1


def test_a_pod_killed_behind_its_202_has_its_message_answered_by_another(
    pods: Any, receiver: Receiver
) -> None:
    stall = Stall(2)
    dead, heir = pods("pod-a", gate=stall, works=False), pods("pod-b")
    answer = dead.deliver(body_of(1))
    assert stall.reached.wait(60)
    assert heir.pod.engine.take(key_of(answer), from_owner="pod-a")
    heir.pod.until(lambda: len(receiver.got) == 1)
    stall.go.set()  # it was only slow: what it still writes is refused
    dead.pod.until_idle()
    assert [one["text"] for one in replies(receiver)] == [ANSWER]
    assert len(receiver.got) == 1


@pytest.mark.parametrize("sent", [False, True])
def test_a_pod_killed_before_or_behind_the_sending_is_followed_by_another(
    pods: Any, receiver: Receiver, *, sent: bool
) -> None:
    dead = pods("pod-a", works=False)
    dead.deliver(body_of(1))
    dead.pod.until(lambda: bool(dead.later.waiting("default", limit=9)))
    [leased] = dead.later.take({CHANNEL_REPLY: 1}, holder="killed", lease_s=0.3)
    if sent:
        dead.delivery(leased.job)
    heir = pods("pod-b")
    heir.pod.until(lambda: not heir.later.waiting("default", limit=9))
    assert len(receiver.got) == 1 + sent
    assert len(replies(receiver)) == 1  # of two, both have one id and one body


def test_a_conversation_keeps_its_order_and_people_and_follow_ups_are_heard(
    pods: Any, receiver: Receiver
) -> None:
    one = pods("pod-a")
    answers = [one.deliver(body_of(number)) for number in range(3)]
    one.pod.until(lambda: len(receiver.got) == 3)
    assert [told["in_reply_to"] for told in replies(receiver)] == ["m-0", "m-1", "m-2"]

    session = key_of(answers[0]).session
    FollowUps(one.later).tell(session, ref="parcel", text="It has left.")
    one.pod.until(lambda: len(receiver.got) == 4)
    one.pod.desk.begin(session, ANYBODY, by="agent", reason="", trace_id="t" * 32)
    one.pod.until(lambda: len(receiver.got) == 5)
    waiting = one.deliver(body_of(9))  # answered by nobody but the person
    one.pod.engine.wait(key_of(waiting), ANYBODY, timeout_s=60)
    said = TurnKey(session, "said-1")
    one.pod.desk.say(said, ANYBODY, text="Hello, I am Ben.", name="Ben", trace_id="t" * 32)
    one.pod.desk.end(session, ANYBODY, by="agent", trace_id="t" * 32)
    one.pod.until(lambda: len(receiver.got) == 7)

    later = replies(receiver)[3:]
    assert [(told["kind"], told["text"], told["handoff"]) for told in later] == [
        ("follow_up", "It has left.", None),
        ("handoff", "", True),
        ("agent", "Hello, I am Ben.", None),
        ("handback", "", False),
    ]
    assert later[2]["name"] == "Ben"
    assert {told["in_reply_to"] for told in later} == {None}
    assert {told["conversation_id"] for told in later} == {"c1"}


def test_what_stood_in_the_response_is_not_sent_as_well(pods: Any, receiver: Receiver) -> None:
    stall = Stall(2)
    stall.go.set()
    one = pods("pod-a", wait_s=50.0, gate=stall)
    answer = one.deliver(body_of(1))
    assert (answer.status_code, answer.json["text"]) == (200, ANSWER)
    one.pod.until_idle()
    one.pod.until(lambda: not one.later.waiting("default", limit=9))
    assert receiver.got == []
    assert one.deliver(body_of(1)).json["text"] == ANSWER  # its response was lost: again


def test_what_took_too_long_for_the_response_is_sent(pods: Any, receiver: Receiver) -> None:
    stall = Stall(2)
    one = pods("pod-a", wait_s=0.1, gate=stall)
    answer = one.deliver(body_of(1))
    assert (answer.status_code, answer.json["state"]) == (202, "running")
    stall.go.set()
    one.pod.until(lambda: len(receiver.got) == 1)
    assert [told["id"] for told in replies(receiver)] == [answer.json["id"]]


def test_a_deleted_session_says_nothing_more(pods: Any, receiver: Receiver) -> None:
    silent = pods("pod-a", works=False)
    session = key_of(silent.deliver(body_of(1))).session
    silent.pod.until(lambda: bool(silent.later.waiting("default", limit=9)))
    [row] = silent.later.waiting("default", limit=9)
    assert ANSWER not in json.dumps(dict(row.fields))  # what waits holds no texts
    silent.pod.until_idle()
    silent.pod.sessions.delete(session, ANYBODY)
    heir = pods("pod-b")
    heir.pod.until(lambda: not heir.later.waiting("default", limit=9))
    assert receiver.got == []
    assert heir.later.dead("default", limit=9) == []
