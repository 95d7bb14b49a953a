"""A question in other small words gets the hot answer, where that is asked for and it is close."""

import pytest

from kotaemon_node.domain.errors import Overloaded
from kotaemon_node.engine.similar import SimilarQuestions
from tests.engine_pods import text_of
from tests.hot_pods import HotPod, Numbered, Saying, cached
from tests.redis_server import RedisServer

SAID = ("It takes ", "seven ", "days.")
ASKED = "How do I return a lamp?"
LIKE = "How can I return the lamp?"
OTHER = "How do I return a sofa?"


def asked_twice(server: RedisServer, least: float | None, **options: object) -> HotPod:
    """Return a pod that keeps the answer to ``ASKED``."""
    similar = None if least is None else SimilarQuestions(least)
    pod = HotPod("one", server, similar=similar, **options)  # type: ignore[arg-type]
    pod.answers("early-1", ASKED)
    pod.answers("early-2", ASKED)
    return pod


def test_a_question_in_other_small_words_gets_the_answer(server: RedisServer) -> None:
    pod = asked_twice(server, 0.9, model=Saying(SAID))

    frames = pod.answers("s1", LIKE)

    assert cached(frames)
    assert text_of(frames) == "".join(SAID)
    assert pod.count("similar") == 1
    # Also when it would have had to make the answer for others, who need not wait then.
    assert cached(pod.answers("s2", LIKE))
    assert not cached(pod.answers("s3", OTHER))


def test_unless_it_is_asked_for_only_the_same_question_is_the_same(server: RedisServer) -> None:
    pod = asked_twice(server, None)

    assert not cached(pod.answers("s1", LIKE))
    assert pod.count("similar") == 0


def test_what_is_not_close_is_not_the_same(server: RedisServer) -> None:
    pod = asked_twice(server, 0.96)

    assert not cached(pod.answers("s1", LIKE))


def test_an_encoder_that_is_asked_too_much_costs_the_comparison_alone(server: RedisServer) -> None:
    class Asked(Numbered):
        def closeness(self, one: str, other: str) -> float:
            raise Overloaded("too many questions wait for the encoder")

    pod = asked_twice(server, 0.9, knowledge=Asked())

    frames = pod.answers("s1", LIKE)

    assert frames[-1].type == "done"
    assert not cached(frames)


@pytest.mark.parametrize("store", ["wiped", "kept"])
def test_a_similar_question_is_of_the_same_generation(server: RedisServer, store: str) -> None:
    knowledge = Numbered(7)
    pod = asked_twice(server, 0.9, knowledge=knowledge)
    if store == "wiped":
        for name in pod.store.client.keys("kn:answer:*"):
            pod.store.client.delete(name)
    else:
        knowledge.number = 8

    frames = pod.answers("s1", LIKE)

    assert not cached(frames)
    assert f"{knowledge.number} days" in text_of(frames)
