"""Breakers of tools and last good results on a real Redis: what one pod met, all pods know."""

from collections.abc import Iterator
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisLastGood, RedisStore, connect
from kotaemon_node.composition.effects import ToolBreakers
from kotaemon_node.domain.limits import BREAKER_FAILURES, BREAKER_OPEN_S
from kotaemon_node.engine.calling import Call, Calling
from kotaemon_node.engine.ledger import Outcome
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.tools import Caller, ToolFailed, ToolSpec
from kotaemon_node.telemetry.metrics import Metrics
from tests.breaker_cases import in_redis
from tests.calls import Tools
from tests.fakes.services import FakeClock
from tests.redis_server import RedisServer

ANN, BOB = Caller("default", "s1", user_id="ann"), Caller("default", "s2")


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    store = connect(redis_server.url)
    store.client.flushall()
    yield store
    store.client.close()


class Pod:
    """A pod that calls the tool ``orders``."""

    def __init__(self, store: RedisStore) -> None:
        self.metrics, self.clock, self.tools = Metrics(), FakeClock(), Tools()
        self.answer: Any = {"result": "packed"}
        self.tools.add("orders", self._act)
        self.opened: list[tuple[str, str]] = []
        self.breakers = ToolBreakers(
            store,
            clock=self.clock,
            metrics=self.metrics,
            opened=lambda tenant, name: self.opened.append((tenant, name)),
        )
        self.calling = Calling(
            self.tools,
            clock=self.clock,
            breakers=self.breakers,
            last_good=RedisLastGood(store),
            skipped=self.metrics.acting.plugin_skipped,
        )
        self.calls = 0

    def _act(self, *_: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def call(self, caller: Caller = ANN, **arguments: Any) -> Outcome:
        self.calls += 1
        by_s = self.clock.monotonic_s() + 5
        spec = ToolSpec("orders", "", {}, "read")
        call = Call(spec, arguments, caller, f"{id(self)}:{self.calls}", by_s=by_s)
        return self.calling.made(call, again=False, stop=Stop())

    def shown(self) -> float | None:
        name, labels = "kotaemon_plugin_breaker_open", {"plugin": "orders"}
        return self.metrics.registry.get_sample_value(name, labels)


def test_what_failed_in_one_pod_is_skipped_by_another_until_a_probe_closes_it(
    store: RedisStore,
) -> None:
    one, other = Pod(store), Pod(store)
    assert one.call(order="1").state == "done"
    one.answer = ToolFailed("it cannot be reached", reached=False)
    for _ in range(BREAKER_FAILURES):
        assert one.call(order="1").state == "failed"
    assert one.shown() == 1
    assert one.opened == [("default", "orders")]
    # The other pod does not ask it, and has what the first one was told
    old = other.call(order="1")
    assert (old.state, old.value["result"], old.value["stale"]) == ("done", "packed", True)
    assert 0 <= old.value["age_s"] <= 60
    assert other.call(BOB, order="1").state == other.call(order="2").state == "failed"
    assert not other.tools.called
    assert other.shown() == 1
    told = {"plugin": "orders", "told": "stale"}
    assert other.metrics.registry.get_sample_value("kotaemon_plugin_skipped_total", told) == 1
    # Later one call of the other pod tries it, and it is closed for both
    in_redis(store, address="tool:default:orders").passes(BREAKER_OPEN_S)
    assert other.call(order="1").value == {"result": "packed"}
    one.answer = {"result": "sent"}
    assert one.call(order="1").value == {"result": "sent"}
    one.breakers.look()
    assert one.shown() == 0


def test_a_last_good_result_is_of_its_user_and_arguments_and_expires(store: RedisStore) -> None:
    kept = RedisLastGood(store)
    kept.keep(ANN, "orders", '{"order":"1"}', '"一"')
    found = kept.find(ANN, "orders", '{"order":"1"}')
    assert found is not None
    assert found.told == '"一"'
    others = (
        (BOB, "orders", '{"order":"1"}'),
        (Caller("other", "s1", user_id="ann"), "orders", '{"order":"1"}'),
        (ANN, "stock", '{"order":"1"}'),
        (ANN, "orders", '{"order":"2"}'),
    )
    assert all(kept.find(*other) is None for other in others)
    (key,) = store.client.keys("kn:good:*")
    assert 3_500_000 < store.client.pttl(key) <= 3_600_000
