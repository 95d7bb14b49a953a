"""One turn makes an answer and others join it, from any pod: its text as it comes, then its end."""

from collections.abc import Callable, Sequence
from typing import Any

from kotaemon_node.domain.errors import LanguageModelError
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import SessionKey, TurnKey
from tests.engine_pods import ANYBODY, text_of
from tests.hot_pods import Gate, HotPod, Numbered, Saying, cached, docs_of
from tests.redis_server import RedisServer

SAID = ("It takes ", "seven ", "days.")
ASKED = "How long does a parcel take?"
QUICKLY_S = 0.2


def noted(pod: HotPod) -> None:
    """Have ``ASKED`` asked once, so that the next who asks makes it for all."""
    model_gate = pod.model.gate
    pod.model.gate = lambda _: None
    pod.ends(pod.asks("early", ASKED))
    pod.model.gate, pod.model.asked = model_gate, 0


class Pod(HotPod):
    """A pod with a model of its own, which may be held."""

    def __init__(
        self,
        name: str,
        server: RedisServer,
        gate: Callable[[int], None] = lambda _: None,
        said: Sequence[str] = SAID,
        **options: Any,
    ) -> None:
        self.model = Saying(said, gate)
        super().__init__(name, server, model=self.model, **options)

    def shows(self, session: str) -> str:
        """Wait until a session's turn shows some text; return that."""
        shown: list[Frame] = []
        key = TurnKey(SessionKey("default", session), "t1")
        for frame in self.engine.follow(key, ANYBODY, after=0):
            if frame is not None:
                shown.append(frame)
            if text_of(shown):
                break
        return text_of(shown)


def test_waiters_on_other_pods_show_the_text_as_it_comes_and_make_none(
    server: RedisServer,
) -> None:
    gate = Gate(place=1)
    author, waiter = Pod("author", server, gate), Pod("waiter", server)
    noted(author)
    made = author.asks("s0", ASKED)
    assert gate.reached.wait(60)

    joined = [waiter.asks(f"s{number}", ASKED) for number in range(1, 4)]
    for key in joined:
        # Half of the answer is there before the rest is made.
        waiter.shows(key.session.session_id)
    gate.go.set()

    frames = [author.ends(made), *(waiter.ends(key) for key in joined)]
    assert {text_of(one) for one in frames} == {"".join(SAID)}
    assert [cached(one) for one in frames] == [False, True, True, True]
    assert {str(docs_of(one)) for one in frames} == {str(docs_of(frames[0]))}
    assert (author.model.asked, waiter.model.asked) == (1, 0)
    assert waiter.count("joined") == 3
    # Nothing tells whose answer it is.
    assert all("s0" not in str(frame.as_dict()) for one in frames[1:] for frame in one)


def test_eight_at_once_have_one_author(server: RedisServer) -> None:
    gate = Gate(place=0)
    pods = [Pod(f"pod-{number}", server, gate) for number in range(2)]
    noted(pods[0])
    keys = [pods[number % 2].asks(f"s{number}", ASKED) for number in range(8)]
    assert gate.reached.wait(60)
    gate.go.set()

    frames = [pods[number % 2].ends(key) for number, key in enumerate(keys)]

    assert {text_of(one) for one in frames} == {"".join(SAID)}
    assert sum(pod.model.asked for pod in pods) == 1
    assert sum(cached(one) for one in frames) == 7


def test_who_waits_for_a_dead_author_makes_the_answer_behind_what_was_shown(
    server: RedisServer,
) -> None:
    gate = Gate(place=1)
    dead = Pod("dead", server, gate)
    waiter = Pod("waiter", server, follow_s=QUICKLY_S)
    noted(dead)
    dead.asks("s0", ASKED)
    assert gate.reached.wait(60)

    frames = waiter.ends(waiter.asks("s1", ASKED))

    assert text_of(frames) == "".join(SAID)
    assert not cached(frames)
    assert waiter.model.asked == 1
    # It is the author by now, and what it made is kept.
    waiter.until(lambda: waiter.kept() == 1)
    assert cached(waiter.ends(waiter.asks("s2", ASKED)))
    gate.go.set()


def test_one_of_those_who_waited_for_a_dead_author_makes_it_for_the_others(
    server: RedisServer,
) -> None:
    gate, second = Gate(place=1), Gate(place=1)
    dead = Pod("dead", server, gate)
    waiter = Pod("waiter", server, second, follow_s=QUICKLY_S)
    late = Pod("late", server)
    noted(dead)
    dead.asks("s0", ASKED)
    assert gate.reached.wait(60)
    waiting = waiter.asks("s1", ASKED)
    assert second.reached.wait(60)

    joined = late.asks("s2", ASKED)
    late.shows("s2")
    second.go.set()

    assert text_of(late.ends(joined)) == text_of(waiter.ends(waiting)) == "".join(SAID)
    assert late.model.asked == 0
    gate.go.set()


def test_where_the_author_fails_the_waiter_makes_its_own(server: RedisServer) -> None:
    gate = Gate(place=1)

    def fails(place: int) -> None:
        gate(place)
        if place == 1:
            raise LanguageModelError("the model is gone")

    author = Pod("author", server, fails)
    waiter = Pod("waiter", server, said=("It is ", "another ", "text."))
    noted(author)
    made = author.asks("s0", ASKED)
    assert gate.reached.wait(60)
    key = waiter.asks("s1", ASKED)
    waiter.shows("s1")
    gate.go.set()

    assert author.ends(made)[-1].fields["degraded"]
    frames = waiter.ends(key)
    assert text_of(frames) == "It is another text."
    assert not frames[-1].fields["degraded"]
    assert not cached(frames)


def test_an_author_of_another_generation_is_not_joined(server: RedisServer) -> None:
    gate = Gate(place=0)
    knowledge = Numbered(7)
    author = Pod("author", server, gate, knowledge=knowledge)
    waiter = Pod("waiter", server, said=("Generation ", "seven."))
    noted(author)
    # It looks with generation 7 and finds with 8.
    knowledge.swaps_before_search = 1
    made = author.asks("s0", ASKED)
    assert gate.reached.wait(60)

    frames = waiter.ends(waiter.asks("s1", ASKED))

    assert text_of(frames) == "Generation seven."
    assert docs_of(frames)[0]["generation"] == 7
    gate.go.set()
    assert author.ends(made)[-1].fields["generation"] == {"default": 8}


def test_a_waiter_that_is_cancelled_stops_waiting(server: RedisServer) -> None:
    gate = Gate(place=1)
    author, waiter = Pod("author", server, gate), Pod("waiter", server)
    noted(author)
    author.asks("s0", ASKED)
    assert gate.reached.wait(60)
    key = waiter.asks("s1", ASKED)
    shown = waiter.shows("s1")

    turn = waiter.engine.cancel(key, ANYBODY)

    assert turn.state.value == "cancelled"
    assert turn.answer == shown
    waiter.until(lambda: waiter.engine.quiet)
    gate.go.set()


def test_a_waiter_that_dies_is_taken_over_with_the_same_answer(server: RedisServer) -> None:
    gate = Gate(place=1)
    author, waiter, heir = (Pod(name, server, gate) for name in ("author", "waiter", "heir"))
    noted(author)
    made = author.asks("s0", ASKED)
    assert gate.reached.wait(60)
    key = waiter.asks("s1", ASKED)
    waiter.shows("s1")
    author.beats()
    heir.judges()
    assert heir.recovery.sweep() == 1
    gate.go.set()

    assert text_of(heir.ends(key)) == "".join(SAID)
    assert text_of(author.ends(made)) == "".join(SAID)
    assert heir.model.asked == 0
