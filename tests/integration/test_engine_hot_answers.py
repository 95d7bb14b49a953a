"""Hot answers through the engine: shared by pods where nothing personal took part, never stale."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain.errors import LanguageModelError, StoreUnavailable
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.engine.remembering import REMEMBERED
from kotaemon_node.ports.hot_answers import AnswerName, Found, HotAnswer
from kotaemon_node.ports.language_model import ToolCall
from kotaemon_node.ports.tools import ToolSpec
from tests.engine_pods import ANYBODY, text_of
from tests.hot_pods import Gate, HotPod, Numbered, Saying, cached, docs_of
from tests.redis_server import RedisServer

SAID = ("It takes ", "seven ", "days.")
ASKED = "How long does a parcel take?"


def hot(pod: HotPod) -> None:
    """Have ``ASKED`` asked so often that its answer is kept."""
    pod.answers("early-1", ASKED)
    pod.answers("early-2", ASKED)


def test_what_was_asked_twice_is_not_made_a_third_time_by_any_pod(server: RedisServer) -> None:
    one, other = (
        HotPod(name, server, model=Saying(SAID), knowledge=Numbered()) for name in ("one", "other")
    )
    first = one.answers("s1", ASKED)
    second = one.answers("s2", ASKED)
    third = other.answers("s3", "  how long does a PARCEL take ")

    assert [cached(frames) for frames in (first, second, third)] == [False, False, True]
    assert text_of(third) == text_of(second) == "".join(SAID)
    assert docs_of(third) == docs_of(second) != []
    assert (one.count("first"), one.count("made"), other.count("hit")) == (1, 1, 1)
    assert other.knowledge.searched == []
    turn = other.sessions.turn(TurnKey(SessionKey("default", "s3"), "t1"), ANYBODY)
    assert turn.cached
    assert turn.generation == {"default": 7}
    assert turn.sources == tuple(docs_of(second))
    # Nothing was paid for it; what was, was paid before.
    assert set(turn.usage.values()) == {0}
    assert second[-1].fields["usage"]["prompt_tokens"] == 30


def test_an_answer_of_the_passages_is_the_same_kept_and_made(server: RedisServer) -> None:
    pod = HotPod("one", server)
    made = pod.answers("s1", ASKED)
    pod.answers("s2", ASKED)

    kept = pod.answers("s3", ASKED)

    assert cached(kept)
    assert not cached(made)
    assert (text_of(kept), docs_of(kept)) == (text_of(made), docs_of(made))


def test_after_a_publish_the_very_next_answer_is_of_the_new_generation(
    server: RedisServer,
) -> None:
    knowledge = Numbered(7)
    swapped, behind = HotPod("one", server, knowledge=knowledge), HotPod("two", server)
    hot(swapped)
    assert cached(swapped.answers("s1", ASKED))

    knowledge.number = 8

    fresh = swapped.answers("s2", ASKED)
    assert not cached(fresh)
    assert "8 days" in text_of(fresh)
    assert fresh[-1].fields["generation"] == {"default": 8}
    # A pod that serves the older one still answers from that, as it would without hot answers.
    old = behind.answers("s3", ASKED)
    assert cached(old)
    assert old[-1].fields["generation"] == {"default": 7}


def test_an_answer_made_across_a_swap_is_not_kept(server: RedisServer) -> None:
    knowledge = Numbered(7)
    pod = HotPod("one", server, knowledge=knowledge)
    pod.answers("s1", ASKED)
    knowledge.swaps_before_search = 1

    made = pod.ends(pod.asks("s2", ASKED))

    assert made[-1].fields["generation"] == {"default": 8}
    pod.until_idle()
    assert pod.kept() == 0


@pytest.mark.parametrize(
    "other",
    [
        {"programs": "v2"},
        {"scope_of": lambda _: "staff"},
        {"model": Saying(SAID)},
        {"knowledge": Numbered(6)},
    ],
)
def test_what_is_made_otherwise_is_not_shared(server: RedisServer, other: dict[str, Any]) -> None:
    one, two = HotPod("one", server), HotPod("two", server, **other)
    hot(one)

    assert not cached(two.answers("s1", ASKED))


def test_what_an_faq_answered_is_told_as_such_when_it_is_hot(server: RedisServer) -> None:
    knowledge = Numbered()
    knowledge.kind, knowledge.text = "faq", f"{ASKED}\nSeven days."
    pod = HotPod("one", server, knowledge=knowledge)
    hot(pod)

    kept = pod.answers("s1", ASKED)

    assert cached(kept)
    assert "Seven days." in text_of(kept)
    assert pod.sessions.turn(TurnKey(SessionKey("default", "s1"), "t1"), ANYBODY).faq


def test_where_the_history_was_read_nothing_is_looked_up_or_kept(server: RedisServer) -> None:
    pod = HotPod("one", server, model=Saying(SAID))
    for session in ("s1", "s2", "s3"):
        pod.answers(session, f"Hello, this is {session}.")
        assert not cached(pod.answers(session, ASKED, turn="t2"))

    assert pod.count("skipped") == 3
    assert pod.kept() == 0


def test_sentences_of_passages_know_no_history(server: RedisServer) -> None:
    pod = HotPod("one", server)
    hot(pod)
    pod.answers("s1", "Hello.")

    assert cached(pod.answers("s1", ASKED, turn="t2"))


def test_where_the_user_is_known_nothing_is_looked_up_or_kept(server: RedisServer) -> None:
    pod = HotPod("one", server)
    hot(pod)
    key = SessionKey("default", "vip")
    pod.sessions.create(key, ANYBODY, epoch="e1", fields={})
    pod.store.client.hset(SessionKeys.of(key).meta, "context", json.dumps({"city": "Ulm"}))

    assert not cached(pod.answers("vip", ASKED))
    assert pod.count("skipped") == 1


class Toolbox:
    """One tool; calls are answered with a number of their own."""

    def __init__(self, effects: str) -> None:
        self._spec = ToolSpec("stock", "Tells the stock.", {"type": "object"}, effects)  # type: ignore[arg-type]
        self.called = 0

    def specs(self, _: object) -> list[ToolSpec]:
        return [self._spec]

    def call(self, *_: Any, **__: Any) -> Any:
        self.called += 1
        return {"stock": self.called}


class Calling(Saying):
    """Calls the tool first."""

    def stream(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        if not self.asked % 2:
            self.asked += 1
            yield ToolCall("c1", "stock", {})
            return
        yield from super().stream(*arguments, **options)


def test_where_a_tool_may_act_nothing_is_looked_up_or_kept(server: RedisServer) -> None:
    pod = HotPod("one", server, model=Saying(SAID), toolbox=Toolbox("once"))
    hot(pod)

    assert not cached(pod.answers("s1", ASKED))
    assert pod.count("skipped") == 3


def test_what_a_tool_said_is_not_kept(server: RedisServer) -> None:
    toolbox = Toolbox("read")
    pod = HotPod("one", server, model=Calling(SAID), toolbox=toolbox)
    for session in ("s1", "s2", "s3"):
        assert not cached(pod.ends(pod.asks(session, ASKED)))

    assert toolbox.called == 3
    pod.until_idle()
    assert pod.kept() == 0


def test_a_degraded_answer_is_not_kept(server: RedisServer) -> None:
    def fails(_: int) -> None:
        raise LanguageModelError("the model is gone")

    pod = HotPod("one", server, model=Saying(SAID, fails))
    for session in ("s1", "s2", "s3"):
        frames = pod.ends(pod.asks(session, ASKED))
        assert frames[-1].fields["degraded"]
        assert not cached(frames)
    pod.until_idle()
    assert pod.kept() == 0


def test_what_was_found_without_the_encoder_is_not_kept(server: RedisServer) -> None:
    knowledge = Numbered()
    knowledge.words_alone = True
    pod = HotPod("one", server, knowledge=knowledge)
    for session in ("s1", "s2", "s3"):
        assert not cached(pod.ends(pod.asks(session, ASKED)))

    pod.until_idle()
    assert pod.kept() == 0


def test_a_takeover_goes_on_with_the_same_hot_answer_though_it_is_gone(
    server: RedisServer,
) -> None:
    gate = Gate()
    dies = HotPod("dies", server, model=Saying(SAID))
    heir = HotPod("heir", server, model=Saying(("Something ", "else.")))
    hot(dies)
    answer = dies.answerer.answer

    def shown_and_held(work: Any, out: Any, *, started_s: float) -> Any:
        draft = answer(work, out, started_s=started_s)
        out.drain()
        gate()
        return draft

    dies.answerer.answer = shown_and_held  # type: ignore[method-assign]
    key = dies.asks("s1", ASKED)
    assert gate.reached.wait(60)
    for name in heir.store.client.keys("kn:answer:*"):
        heir.store.client.delete(name)
    heir.judges()
    assert heir.recovery.sweep() == 1

    frames = heir.ends(key)

    assert text_of(frames) == "".join(SAID)
    assert cached(frames)
    assert "restart" not in {frame.type for frame in frames}
    gate.go.set()


class Broken:
    """``ports.hot_answers.HotAnswers`` that does what a test says."""

    def __init__(self, doing: Any) -> None:
        self._doing = doing
        self.looks = 0
        self.given_up = threading.Event()

    def look(self, name: AnswerName, asker: TurnKey, *, instead_of: Any = None) -> Found:
        self.looks += 1
        self._doing()
        return Found(author=asker)

    def get(self, name: AnswerName) -> HotAnswer | None:
        return None

    def keep(self, name: AnswerName, asker: TurnKey, answer: HotAnswer) -> bool:
        raise StoreUnavailable("away")

    def give_up(self, name: AnswerName, asker: TurnKey) -> None:
        self.given_up.set()


def test_a_store_that_is_away_keeps_nobody_from_an_answer(server: RedisServer) -> None:
    def away() -> None:
        raise StoreUnavailable("away")

    broken = Broken(away)
    pod = HotPod("one", server, answers=broken)
    for session in ("s1", "s2", "s3"):
        assert "7 days" in text_of(pod.answers(session, ASKED))

    assert pod.count("unavailable") == 3
    assert broken.looks < 4


def test_a_store_that_is_silent_is_not_waited_for(server: RedisServer) -> None:
    gate = Gate()
    broken = Broken(gate)
    pod = HotPod("one", server, answers=broken, look_s=0.01)

    assert "7 days" in text_of(pod.answers("s1", ASKED))
    assert pod.count("unavailable") == 1

    # It answers at last: nobody is to wait for a turn that makes no answer for others.
    gate.go.set()
    assert broken.given_up.wait(60)


def test_an_answer_that_cannot_be_kept_is_shown(server: RedisServer) -> None:
    pod = HotPod("one", server, answers=Broken(lambda: None))

    frames = pod.ends(pod.asks("s1", ASKED))

    assert "7 days" in text_of(frames)
    assert pod.count("made") == 1


def test_the_record_tells_how_the_answer_came_about(server: RedisServer) -> None:
    pod = HotPod("one", server)
    told: list[Any] = []
    answer = pod.answerer.answer

    def noted(work: Any, out: Any, *, started_s: float) -> Any:
        draft = answer(work, out, started_s=started_s)
        told.append(draft.record[REMEMBERED]["result"])
        return draft

    pod.answerer.answer = noted  # type: ignore[method-assign]
    hot(pod)
    pod.answers("s1", ASKED)

    assert told == ["first", "made", "hit"]
