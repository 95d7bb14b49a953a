"""The breaker before the language model: who is asked, who is not, and what a pod does alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from kotaemon_node.adapters.system import RandomIds
from kotaemon_node.domain.errors import (
    Fenced,
    LanguageModelError,
    LanguageModelRefusal,
    LanguageModelUnavailable,
    StoreUnavailable,
)
from kotaemon_node.domain.limits import (
    BREAKER_FAILURES,
    BREAKER_OPEN_S,
    REDIS_TIMEOUT_S,
    STORE_AWAY_S,
)
from kotaemon_node.engine.breaking import GuardedModel, MemoryBreaker, SharedBreaker
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.store_away import StoreAway
from kotaemon_node.ports.breakers import Verdict
from kotaemon_node.ports.language_model import ChatMessage, Usage
from tests.fakes.services import FakeClock


class Model:
    """Says two words; ``ending`` comes between them."""

    name, continues_prefix = "scripted", True

    def __init__(self) -> None:
        self.ending: Exception | None = None
        self.silent = False
        self.asked = 0

    def stream(self, *_: Any, **__: Any) -> Iterator[str]:
        self.asked += 1
        return self._said()

    def _said(self) -> Iterator[str]:
        if not self.silent:
            yield "two"
        if self.ending:
            raise self.ending
        yield " words"


class Broken(MemoryBreaker):
    """A shared breaker whose store can be away; counts who tries it."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.away = False
        self.tried = 0

    def ask(self, caller: str) -> Verdict:
        self._try()
        return super().ask(caller)

    def failed(self, caller: str) -> None:
        self._try()
        super().failed(caller)

    def open_now(self) -> bool:
        self._try()
        return super().open_now()

    def _try(self) -> None:
        self.tried += 1
        if self.away:
            raise StoreUnavailable("the session store does not answer")


class Scene:
    """A model behind a breaker."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.shared = Broken(self.clock)
        self.shown: list[bool] = []
        self.breaker = SharedBreaker(self.shared, clock=self.clock, show=self.shown.append)
        self.model = Model()
        self.guarded = GuardedModel(self.model, self.breaker, ids=RandomIds())

    def asks(self) -> str:
        asked = (ChatMessage("user", "?"),)
        pieces = self.guarded.stream(asked, prefix="", usage=Usage(), stop=Stop())
        return "".join(map(str, pieces))

    def fails(self, times: int = BREAKER_FAILURES, error: Exception | None = None) -> None:
        self.model.ending = error or LanguageModelError("500")
        for _ in range(times):
            with pytest.raises(type(self.model.ending)):
                self.asks()
        self.model.ending = None


def test_a_model_that_failed_in_a_row_is_not_asked() -> None:
    scene = Scene()
    assert scene.asks() == "two words"
    scene.fails()
    with pytest.raises(LanguageModelUnavailable, match="30 s more"):
        scene.asks()
    assert scene.model.asked == 1 + BREAKER_FAILURES
    assert scene.shown[-1]
    scene.clock.sleep(BREAKER_OPEN_S + 1)
    assert scene.asks() == "two words"
    assert not scene.breaker.open_now()
    assert not scene.shown[-1]


@pytest.mark.parametrize("error", [LanguageModelRefusal("too long"), Fenced("another pod")])
def test_what_is_no_fault_of_the_endpoint_opens_nothing(error: Exception) -> None:
    scene = Scene()
    scene.fails(5, error)
    assert scene.asks() == "two words"


def test_a_probe_whose_turn_was_stopped_lets_the_next_turn_try() -> None:
    scene = Scene()
    scene.fails()
    scene.clock.sleep(BREAKER_OPEN_S + 1)
    asked = (ChatMessage("user", "?"),)
    probe = scene.guarded.stream(asked, prefix="", usage=Usage(), stop=Stop())
    with pytest.raises(LanguageModelUnavailable, match="tries it now"):
        scene.asks()
    next(iter(probe))  # the first sign of an answer
    assert scene.asks() == "two words"


def test_a_probe_that_was_stopped_before_its_first_text_leaves_the_try_to_the_next() -> None:
    scene = Scene()
    scene.fails()
    scene.clock.sleep(BREAKER_OPEN_S + 1)
    scene.model.silent = True
    scene.fails(1, Fenced("another pod"))
    scene.model.silent = False
    assert scene.asks() == "two words"


def test_a_pod_judges_alone_while_the_store_is_away() -> None:
    scene = Scene()
    scene.shared.away = True
    scene.fails()
    tried = scene.shared.tried
    with pytest.raises(LanguageModelUnavailable):
        scene.asks()
    assert scene.shared.tried == tried == 1  # within the time for which it is taken for away
    # When the store is back it knows of no failures, and the pods go by it
    scene.shared.away = False
    scene.clock.sleep(STORE_AWAY_S + 0.1)
    assert scene.asks() == "two words"


def test_one_at_a_time_tries_a_store_that_was_away() -> None:
    clock = FakeClock()
    away = StoreAway(clock=clock)
    assert away.tries()
    assert away.tries()
    assert not away
    away.failed()
    assert away
    assert not away.tries()
    clock.sleep(STORE_AWAY_S + 0.1)
    assert [away.tries(), away.tries()] == [True, False]
    clock.sleep(REDIS_TIMEOUT_S + 0.1)  # who tried has said nothing
    assert away.tries()
    away.answered()
    assert away.tries()
    assert not away


def test_the_first_text_of_a_call_that_is_no_probe_waits_for_nobody() -> None:
    scene = Scene()
    told: list[str] = []
    scene.shared.answering = told.append  # type: ignore[method-assign]

    scene.asks()

    assert told == []
