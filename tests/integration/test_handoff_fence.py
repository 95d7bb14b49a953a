"""After the handoff no bot speaks: whenever it comes, on any pod, also one that was frozen."""

import random
import threading

import pytest

from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.sessions import Work
from tests.engine_pods import ANYBODY, PIECES, Stall, key
from tests.handed_pods import WAIT_S, DeskPod, bot_text_behind_handoff
from tests.integration.test_session_stream import Device
from tests.redis_server import RedisServer

ROUNDS = 5


class Unsteady:
    """Pauses a random while before each piece."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._never = threading.Event()

    def __call__(self, work: Work, place: int) -> None:
        self._never.wait(self._rng.uniform(0, 0.03))


def spoken_while_handed_off(frames: list[Frame]) -> list[Frame]:
    """Return what a bot says in a session's stream between handoff and handback."""
    found, handed = [], False
    for one in frames:
        if one.type == "handoff":
            handed = bool(one.fields["active"])
        elif handed and one.type in {"text", "restart"} and "author" not in one.fields:
            found.append(one)
    return found


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, 6))]
)
def test_no_bot_text_comes_behind_a_handoff_whenever_it_happens(
    server: RedisServer, seed: int
) -> None:
    rng = random.Random(seed)
    pods = [DeskPod(f"pod-{n}", server, Unsteady(rng)) for n in range(3)]
    for pod in pods:
        pod.judges()
    pods[0].ask("t0")
    device, pause = Device(pods[2]), threading.Event()
    for round_ in range(ROUNDS):
        owner, taker = rng.sample(pods[:2], 2)
        if rng.random() < 0.3:
            taker = owner
        asked = [f"t{round_}-{n}" for n in range(rng.randint(1, 3))]
        for turn_id in asked:
            owner.submit(turn_id)
        pause.wait(rng.uniform(0, 0.15))

        taker.hand_off(reason=str(round_))
        owner.submit(f"late-{round_}")
        taker.say("I am here.", message_id=f"a{round_}")
        owner.submit(f"last-{round_}")  # the person answers it no more
        taker.hand_back()
        for turn_id in (*asked, f"late-{round_}", f"last-{round_}"):
            assert taker.engine.wait(key(turn_id), ANYBODY, timeout_s=WAIT_S) is not None
    device.until_ended(f"late-{ROUNDS - 1}", f"a{ROUNDS - 1}")

    assert spoken_while_handed_off(device.frames) == []
    assert_told_once(pods[1])
    for pod in pods:
        pod.until_idle()


def assert_told_once(pod: DeskPod) -> None:
    """In no turn a bot speaks behind the handoff, and each one is told by one turn."""
    history = pod.history()
    with_person = False
    for turn in history:
        with_person = turn.event == "handoff" if turn.event else with_person
        assert with_person or not turn.handoff, turn
        assert not bot_text_behind_handoff(pod.frames(turn.turn_id)), turn
        assert not (turn.handoff and turn.answer)
    for event in ("handoff", "handback"):
        assert len([one for one in history if one.event == event]) == ROUNDS


@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
@pytest.mark.parametrize("place", range(len(PIECES)))
def test_a_frozen_owner_that_wakes_up_says_nothing(
    server: RedisServer, place: int, dies: bool
) -> None:
    stall = Stall(place)
    frozen, other = DeskPod("frozen", server, stall), DeskPod("other", server)
    for pod in (frozen, other):
        pod.judges()
    # Not even a signal reaches it: it learns from the store alone, by a refused write.
    frozen.engine._doubt = lambda key: None  # type: ignore[method-assign]
    frozen.submit("t1")
    assert stall.reached.wait(WAIT_S)
    if place:
        frozen.until_shown("t1", "".join(PIECES[:place]))
    if dies:  # behind the step, before it has ended the turn
        other.engine.break_off = lambda key: None  # type: ignore[method-assign]

    other.hand_off()
    told = stored(other)
    stall.go.set()
    frozen.until_idle()
    assert stored(other)[: len(told)] == told
    other.until(lambda: other.recovery.sweep() >= 0 and bool(other.history()))

    frames = other.frames("t1")
    assert not bot_text_behind_handoff(frames)
    assert [one.type for one in frames].count("handoff") == 1
    turn = other.sessions.turn(key("t1"), ANYBODY)
    assert (turn.state, turn.answer) == (State.INTERRUPTED, "".join(PIECES[:place]))
    assert turn.event == "handoff"


def stored(pod: DeskPod) -> list[Frame]:
    """Return the frames of the turn as they lie in the store now."""
    found = pod.engine._frames.read(key("t1"), after=0, limit=100, trace_id="trace-t1")
    return list(found.frames)
