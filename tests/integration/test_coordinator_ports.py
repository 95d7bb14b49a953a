"""The in-memory ports of the coordinator's tests do what the Redis adapters do."""

from collections.abc import Iterator

import pytest

from kotaemon_node.adapters.redis import RedisGenerationPointer, RedisLeadership, connect
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.ports.knowledge import GenerationPointer, Leadership
from tests.fakes.knowledge_ports import HandClock, MemoryLeadership, MemoryPointer
from tests.redis_server import RedisServer


@pytest.fixture(params=["memory", "redis"])
def ports(request: pytest.FixtureRequest) -> Iterator[tuple[GenerationPointer, Leadership]]:
    if request.param == "memory":
        yield MemoryPointer(), MemoryLeadership(HandClock())
        return
    server = RedisServer()
    server.start()
    store = connect(server.url)
    yield RedisGenerationPointer(store), RedisLeadership(store, "coordinator")
    store.client.close()
    server.remove()


def ref(generation: int, digest: str = "d") -> GenerationRef:
    return GenerationRef("shop", generation, digest, f"m/{generation}")


def test_a_pointer_only_goes_forward(ports: tuple[GenerationPointer, Leadership]) -> None:
    pointer, _ = ports
    assert pointer.current("t") == {}
    assert pointer.publish("t", ref(2))
    assert pointer.publish("t", ref(2))
    assert not pointer.publish("t", ref(2, "other"))
    assert not pointer.publish("t", ref(1))
    assert pointer.current("t") == {"shop": ref(2)}
    assert pointer.publish("t", ref(3))
    assert pointer.current("other") == {}


def test_one_holder_leads_until_it_gives_up(ports: tuple[GenerationPointer, Leadership]) -> None:
    _, leadership = ports
    first = leadership.acquire("a", ttl_s=60)
    assert first is not None
    assert leadership.acquire("a", ttl_s=60) == first
    assert leadership.acquire("b", ttl_s=60) is None
    leadership.release("b")
    assert leadership.acquire("b", ttl_s=60) is None
    leadership.release("a")
    second = leadership.acquire("b", ttl_s=60)
    assert second is not None
    assert second > first
