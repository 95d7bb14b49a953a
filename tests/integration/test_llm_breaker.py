"""Two pods, one Redis, one server that fails: what one pod found out spares the other a call."""

from collections.abc import Iterator

import pytest

from kotaemon_node.adapters.llm.openai import make_language_model
from kotaemon_node.adapters.redis import RedisBreaker, connect
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import LanguageModelError, LanguageModelUnavailable
from kotaemon_node.engine.breaking import GuardedModel, SharedBreaker
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.language_model import ChatMessage, Usage
from tests.fakes.llm_server import FakeLlmServer
from tests.redis_server import RedisServer

OPEN_S = 0.5


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


class OfPod:
    """The guarded model of one pod."""

    def __init__(self, llm: FakeLlmServer, server: RedisServer) -> None:
        shared = RedisBreaker(connect(server.url), address=llm.base_url)
        self.breaker = SharedBreaker(shared, clock=SystemClock())
        model = make_language_model(llm.base_url, "", "fake", "none")
        self.model = GuardedModel(model, self.breaker, ids=RandomIds())

    def asks(self) -> str:
        asked = (ChatMessage("user", "How long?"),)
        pieces = self.model.stream(asked, prefix="", usage=Usage(), stop=Stop())
        return "".join(str(piece) for piece in pieces)


def test_pods_share_what_they_learn_and_one_tries_it(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BREAKER_OPEN_S", OPEN_S)
    with FakeLlmServer() as llm:
        one, two = OfPod(llm, server), OfPod(llm, server)
        llm.break_with("500", times=limits.BREAKER_FAILURES)
        for pod in (one, two, one):
            with pytest.raises(LanguageModelError, match="500"):
                pod.asks()
        # Now neither asks
        for pod in (two, one, two):
            with pytest.raises(LanguageModelUnavailable):
                pod.asks()
        assert llm.stats["calls"] == limits.BREAKER_FAILURES
        assert one.breaker.open_now()
        assert two.breaker.open_now()
        # Until the time is over: one probe, which finds it well, closes it for both
        SystemClock().sleep(OPEN_S)
        while two.breaker.open_now():
            try:
                assert two.asks()
            except LanguageModelUnavailable:
                SystemClock().sleep(0.05)
        assert one.asks()
        assert not one.breaker.open_now()
        assert llm.stats["calls"] == limits.BREAKER_FAILURES + 2
