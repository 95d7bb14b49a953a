"""Turns as a follower sees them, on a clock set by hand: compared with files, to the letter.

``GOLDEN_WRITE=1`` writes the files anew; read the difference before you commit it.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from kotaemon_node.adapters.redis import RedisStore, connect
from kotaemon_node.domain import limits
from kotaemon_node.engine import group_commit
from tests.golden.story import ANYBODY, SESSION, Story, key
from tests.redis_server import RedisServer

FOLDER = Path(__file__).parent / "transcripts"
ANSWER = ((0.1, "A lamp "), (0.1, "takes two "), (0.1, "to three days "), (0.1, "[1]."))


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def store(server: RedisServer) -> RedisStore:
    return connect(server.url)


@pytest.fixture
def tell(
    server: RedisServer, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Story]]:
    """Begin a story; when the test is over its transcript is compared with the file."""
    told: list[tuple[str, Story]] = []

    def begin(name: str) -> Story:
        server.wipe()
        story = Story(server, store, title=name.replace("_", " "))
        # The stage must see who waits for a flush.
        seen = SimpleNamespace(Event=story.stage.event, Lock=group_commit.threading.Lock)
        monkeypatch.setattr(group_commit, "threading", seen)
        told.append((name, story))
        return story

    yield begin
    for name, story in told:
        transcript = story.end(story.pod("reader"))
        path = FOLDER / f"{name}.txt"
        if os.environ.get("GOLDEN_WRITE"):
            path.write_text(transcript, encoding="utf-8")
        assert path.exists(), f"{path.name} is missing: run with GOLDEN_WRITE=1"
        assert transcript == path.read_text(encoding="utf-8")


Tell = Callable[[str], Story]


def test_an_extractive_answer(tell: Tell) -> None:
    story = tell("extractive_answer")
    story.ask(story.pod("a"))
    story.play(1.0)


def test_pieces_that_come_within_the_window_share_a_frame(tell: Tell) -> None:
    story = tell("coalescing_window")
    script = [(0.011, f"w{number} ") for number in range(250)]
    story.ask(story.pod("a", story.model(*script)))
    story.play(10.0)


def test_a_model_that_continues_goes_on_from_the_next_character(tell: Tell) -> None:
    story = tell("takeover_continues")
    story.ask(story.pod("a", story.model(*ANSWER[:2], then="fall silent")))
    story.play(1.0)
    story.note("b takes t1 from a")
    story.pod("b", story.model(*ANSWER)).take(key("t1"), from_owner="a")
    story.play(2.0)


def test_marks_are_judged_alike_by_whoever_goes_on(tell: Tell) -> None:
    """The first owner dies with a mark held back; the second makes of it what that would have."""
    story = tell("takeover_within_a_mark")
    text = ((0.1, "A lamp takes two"), (0.1, " to three days "), (0.1, "[2]"))
    story.ask(story.pod("a", story.model(*text, then="fall silent")))
    story.play(1.0)
    story.note("b takes t1 from a")
    whole = story.model(*text, (0.1, ". It flies [1]"), (0.1, ", by lorry [2]."))
    story.pod("b", whole).take(key("t1"), from_owner="a")
    story.play(2.0)


def test_a_model_that_does_not_continue_begins_again(tell: Tell) -> None:
    story = tell("takeover_restarts")
    story.ask(story.pod("a", story.model(*ANSWER[:2], then="fall silent")))
    story.play(1.0)
    story.note("b takes t1 from a")
    again = story.model((0.1, "It takes "), (0.1, "three days [1]."), continues=False)
    story.pod("b", again).take(key("t1"), from_owner="a")
    story.play(2.0)


def test_the_old_owner_wakes_up_and_is_not_heard(tell: Tell) -> None:
    story = tell("takeover_zombie")
    late = story.model(*ANSWER[:2], (2.0, "nonsense "), (0.1, "and more"))
    story.ask(story.pod("a", late))
    story.play(1.0)
    story.note("b takes t1 from a, which is only slow")
    story.pod("b", story.model(*ANSWER[:2], (2.5, "to three days "), (0.1, "[1]."))).take(
        key("t1"), from_owner="a"
    )
    story.play(5.0)


def test_a_model_that_was_given_up_is_not_asked_again(tell: Tell) -> None:
    story = tell("takeover_of_degraded")
    story.ask(story.pod("a", story.model(*ANSWER[:2], then="fail"), commits=False))
    story.play(1.0)
    story.note("b takes t1 from a, which died before its commit; b's model would work")
    story.pod("b", story.model(*ANSWER)).take(key("t1"), from_owner="a")
    story.play(2.0)


def test_an_extractive_answer_is_taken_over(tell: Tell) -> None:
    story = tell("takeover_extractive")
    story.ask(story.pod("a", commits=False))
    story.play(1.0)
    story.note("b takes t1 from a, which died before its commit")
    story.pod("b").take(key("t1"), from_owner="a")
    story.play(2.0)


def test_a_model_that_fails_is_replaced_by_the_passages(tell: Tell) -> None:
    story = tell("degraded")
    story.ask(story.pod("a", story.model(ANSWER[0], then="fail")))
    story.play(1.0)


def test_cancel_keeps_the_text_so_far(tell: Tell) -> None:
    story = tell("cancel")
    pod = story.pod("a", story.model(*ANSWER))
    story.ask(pod)
    story.play(0.25)
    story.note("t1 is cancelled on another pod")
    story.pod("b").cancel(key("t1"), ANYBODY)
    story.play(1.0)


def test_a_second_message_interrupts_the_first(tell: Tell) -> None:
    story = tell("interrupt")
    pod = story.pod("a", story.model(*ANSWER))
    story.ask(pod)
    story.play(0.25)
    story.ask(pod, "t2", on_busy="interrupt")
    story.play(2.0)


def test_three_messages_are_answered_one_after_the_other(tell: Tell) -> None:
    story = tell("queue_of_three")
    pod = story.pod("a", story.model(*ANSWER[:2]))
    for turn_id in ("t1", "t2", "t3"):
        story.ask(pod, turn_id)
    story.play(2.0)


def test_a_leaving_pod_hands_its_turn_over(tell: Tell) -> None:
    story = tell("hand_over")
    pod = story.pod("a", story.model(*ANSWER))
    story.ask(pod)
    story.play(0.25)
    story.leaving.add("a")
    story.note("a leaves")
    pod.hand_over()
    story.play(0.5)
    story.note("b takes t1, which has no owner")
    assert story.pod("b", story.model(*ANSWER)).take(key("t1"), from_owner="")
    story.play(2.0)


def test_a_turn_that_costs_three_owners_is_given_up(tell: Tell) -> None:
    story = tell("turn_crashed")
    owners = ["a", "b", "c", "d"]
    story.ask(story.pod("a", story.model(ANSWER[0], then="fall silent")))
    for number in range(limits.TURN_ATTEMPTS_MAX):
        story.play(number + 1.0)
        story.note(f"{owners[number + 1]} takes t1 from {owners[number]}")
        heir = story.pod(owners[number + 1], story.model(ANSWER[0], then="fall silent"))
        assert heir.take(key("t1"), from_owner=owners[number])
    story.play(10.0)


def test_a_deleted_session_ends_its_turn_as_gone(tell: Tell) -> None:
    story = tell("delete")
    pod = story.pod("a", story.model(*ANSWER))
    story.ask(pod)
    story.play(0.25)
    story.note("the session is deleted")
    story.sessions.delete(SESSION, ANYBODY)
    story.play(1.0)
    assert pod.running == 0


def test_a_turn_longer_than_its_limit_ends_as_failed(tell: Tell) -> None:
    story = tell("deadline")
    script = [(29.0, f"w{number} ") for number in range(40)]
    story.ask(story.pod("a", story.model(*script)))
    story.play(1_000.0)
