"""Turns of pods that seal what they keep: taken over, followed, handed over and gone on with."""

from collections.abc import Iterator

import pytest

from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.turn import State
from tests.engine_pods import ANYBODY, PIECES, Stall, TestPod, key, text_of
from tests.handed_pods import DeskPod
from tests.redis_dump import disk_says, keys_with
from tests.redis_server import RedisServer
from tests.sealing_parts import ClusterOfKeys, cluster_of_keys

WORD = "quizzaciously-CANARY-7f3a91"
WHOLE = "".join(PIECES)


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A Redis whose disk holds nothing of another test."""
    server = RedisServer(options=("--appendonly", "yes", "--appendfsync", "always"))
    server.start()
    yield server
    server.remove()


@pytest.fixture
def cluster() -> ClusterOfKeys:
    return cluster_of_keys()


def test_another_pod_goes_on_with_a_sealed_answer_from_the_next_character(
    own_server: RedisServer, cluster: ClusterOfKeys
) -> None:
    stall = Stall(3)
    dead = TestPod("dead", own_server, stall, cipher=cluster.cipher())
    heir = TestPod("heir", own_server, cipher=cluster.cipher())
    dead.submit("t1", message=f"where is {WORD}?")
    assert stall.reached.wait(60)
    heir.judges()
    assert heir.recovery.sweep() == 1

    frames = heir.frames("t1")
    assert text_of(frames) == WHOLE
    assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
    assert not [frame for frame in frames if frame.type == "restart"]
    stall.go.set()
    turn = heir.engine.wait(key("t1"), ANYBODY, timeout_s=60)
    assert turn is not None
    assert (turn.state, turn.answer, turn.attempts) == (State.DONE, WHOLE, 2)
    # Whoever comes back with the last number that it has seen gets the rest, from any pod.
    for seen in range(len(frames)):
        assert dead.frames("t1", after=seen) == frames[seen:]
    for word in (WORD, *PIECES[:2], "two days"):
        assert keys_with(heir.store.client, word) == set()
        assert not disk_says(own_server, word)


def test_the_next_turn_knows_what_was_said_on_another_pod(
    own_server: RedisServer, cluster: ClusterOfKeys
) -> None:
    pods = [TestPod(f"pod-{n}", own_server, cipher=cluster.cipher()) for n in range(2)]
    for number in range(6):
        pod = pods[number % 2]
        pod.submit(f"t{number}", message=f"{WORD} {number}")
        assert pod.engine.wait(key(f"t{number}"), ANYBODY, timeout_s=60) is not None

    view = pods[0].sessions.load(key("t1").session, ANYBODY, after_version=0, limit=9)
    assert [turn.message for turn in view.turns] == [f"{WORD} {number}" for number in range(6)]
    assert [row.title for row in pods[1].sessions.list(ANYBODY, offset=0, limit=9)] == [f"{WORD} 0"]
    assert keys_with(pods[0].store.client, WORD) == set()


def test_a_person_takes_a_sealed_session_while_it_is_answered_and_gives_it_back(
    own_server: RedisServer, cluster: ClusterOfKeys
) -> None:
    stall = Stall(2)
    pod = DeskPod("pod", own_server, stall, cipher=cluster.cipher())
    desk = DeskPod("desk", own_server, cipher=cluster.cipher())
    pod.submit("t1", message=f"where is {WORD}?")
    assert stall.reached.wait(60)

    desk.hand_off(reason=f"because of {WORD}")
    stall.go.set()
    ended = desk.engine.wait(key("t1"), ANYBODY, timeout_s=60)
    assert ended is not None
    assert ended.state is State.INTERRUPTED
    shown: list[Frame] = [it for it in desk.frames("t1") if it.type == "handoff"]
    assert [it.fields["reason"] for it in shown] == [f"because of {WORD}"]
    assert desk.say(f"I am here, {WORD}", message_id="m1").answer == f"I am here, {WORD}"
    desk.hand_back()
    assert desk.ask("t2", f"and {WORD}?").answer == WHOLE
    assert keys_with(desk.store.client, WORD) == set()
    assert not disk_says(own_server, WORD)
