"""The library's talk on Redis is a session of the cluster: pods and programs go on with one."""

import threading
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisDataKeys, connect
from kotaemon_node.adapters.sealing import DataKeyRing, MasterKeyLines, SealingCipher
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.adapters.system.secret_file import FixedLines
from kotaemon_node.conversation import ConversationMemory, SessionBusy
from kotaemon_node.domain.errors import MasterKeyMissing
from kotaemon_node.domain.session import TurnKey
from tests.engine_pods import ANYBODY, PIECES, TestPod, key
from tests.library_talks import agent
from tests.redis_dump import keys_with
from tests.redis_server import RedisServer
from tests.sealing_parts import MASTER
from tests.unit.test_engine_understanding import ASKED_BEFORE, TEXTS, Shop


@pytest.fixture
def pod(redis_server: RedisServer) -> TestPod:
    redis_server.wipe()
    return TestPod("pod-a", redis_server)


def memory(server: RedisServer, **options: Any) -> ConversationMemory:
    return ConversationMemory(store=server.url, session_id="s1", **options)


def test_a_pod_and_a_program_see_one_history(pod: TestPod, redis_server: RedisServer) -> None:
    # Given a session that a pod began
    pod.submit("t1", message=ASKED_BEFORE)
    pod.until_idle()
    # When a program goes on with it
    with memory(redis_server) as talk:
        answer = agent(talk).step("and to Canada?")
        assert answer.startswith(TEXTS[1])
        # Then the pod has both turns, from the same history
        seen = pod.sessions.load(key("t1").session, ANYBODY, after_version=0, limit=10)
        assert [turn.message for turn in seen.turns] == [ASKED_BEFORE, "and to Canada?"]
        assert seen.turns[1].answer == answer
        # And what the pod says next, the program knows
        pod.submit("t3", message="thanks")
        pod.until_idle()
        assert [turn.answer for turn in talk.turns][-1] == "".join(PIECES)
    assert pod.events()[-1]["version"] == 3


def test_a_program_with_the_keys_goes_on_with_a_sealed_session(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    redis_server.wipe()
    key_file = tmp_path / "master.keys"
    key_file.write_text(MASTER + "\n")
    key_file.chmod(0o600)
    ring = DataKeyRing(
        RedisDataKeys(connect(redis_server.url)),
        MasterKeyLines(FixedLines((MASTER,))),
        copies=None,
        clock=SystemClock(),
    )
    pod = TestPod("pod-a", redis_server, cipher=SealingCipher(ring))
    pod.submit("t1", message=ASKED_BEFORE)
    pod.until_idle()

    with memory(redis_server, encryption_key_file=key_file) as talk:
        talk.add("and to Canada?", "Within five days.")
        assert [turn.message for turn in talk.turns] == [ASKED_BEFORE, "and to Canada?"]
    assert keys_with(pod.store.client, "Within five days.") == set()
    with memory(redis_server) as keyless, pytest.raises(MasterKeyMissing):
        assert keyless.turns


def test_summaries_go_on_wherever_the_next_turn_is_made(
    pod: TestPod, redis_server: RedisServer
) -> None:
    with memory(redis_server, user_id="mei") as talk:
        for number in range(1, 13):
            talk.add(f"Where is parcel {number}00?", "On its way.")
        for number in range(13, 17):
            pod.submit(f"t{number}", message=f"Where is parcel {number}00?")
            pod.until_idle()
        assert [turn.version for turn in talk.turns] == list(range(7, 17))
        assert "parcel 600?" in talk.summary
        view = pod.sessions.load(key("t").session, ANYBODY, after_version=0, limit=0)
        assert (view.summary_to, view.summary, view.user_id) == (6, talk.summary, "mei")


class Slow(Shop):
    """Knowledge that is asked until it may answer."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go = threading.Event(), threading.Event()

    def search(self, question: str, **options: Any) -> Any:
        self.reached.set()
        assert self.go.wait(60)
        return super().search(question, **options)


def running(talk: ConversationMemory, shop: Slow) -> tuple[threading.Thread, list[str]]:
    """Begin a step; return its thread and where its answer goes."""
    said: list[str] = []
    thread = threading.Thread(
        target=lambda: said.append(agent(talk, knowledge=shop).step(ASKED_BEFORE))
    )
    thread.start()
    assert shop.reached.wait(60)
    return thread, said


def test_a_program_that_lives_keeps_its_turn_and_is_no_pod_to_anybody(
    pod: TestPod, redis_server: RedisServer
) -> None:
    with memory(redis_server) as talk:
        shop = Slow()
        thread, said = running(talk, shop)
        pod.judges()
        assert pod.recovery.sweep() == 0
        guests = [it for it in pod.presence.pods() if it.get("guest")]
        assert [it["name"] for it in guests] == ["library"]
        with pytest.raises(SessionBusy):
            agent(talk).step("and another thing")
        shop.go.set()
        thread.join(60)
    assert said[0].startswith(TEXTS[0])
    assert not [it for it in pod.presence.pods() if it.get("guest")]


def test_a_turn_whose_program_seems_dead_is_ended_by_a_pod_and_heard_of_here(
    pod: TestPod, redis_server: RedisServer
) -> None:
    with memory(redis_server) as talk:
        shop = Slow()
        thread, said = running(talk, shop)
        # Given that no heartbeat comes through
        pod.beats()
        for guest in [it for it in pod.presence.pods() if it.get("guest")]:
            turn_id = pod.sessions.orphans(limit=9)[0].key.turn_id
            taken = pod.engine.take(
                TurnKey(key("t").session, turn_id), from_owner=str(guest["incarnation"])
            )
            assert taken
        pod.until_idle()
        shop.go.set()
        thread.join(60)
        assert said == ["".join(PIECES)]
        assert [turn.answer for turn in talk.turns] == said
