"""The list of a tenant's sessions, beside those of its principals."""

import pytest

from kotaemon_node.adapters.redis import RedisSessionStore, RedisStore
from kotaemon_node.domain.session import Principal, SessionKey

ANN, BOB = Principal("default", "ann", "customer"), Principal("default", "bob", "customer")
AGENT = Principal("default", "eve", "agent")


@pytest.fixture
def sessions(redis_store: RedisStore) -> RedisSessionStore:
    return RedisSessionStore(redis_store, ttl_s=3600, idle_s=1800)


def ids(sessions: RedisSessionStore, who: Principal, *, everybodys: bool) -> list[str]:
    rows = sessions.list(who, offset=0, limit=10, everybodys=everybodys)
    return [row.session_id for row in rows]


def test_a_tenant_s_list_has_the_sessions_of_all_and_forgets_what_is_deleted(
    sessions: RedisSessionStore, redis_store: RedisStore
) -> None:
    for name, owner in (("s1", ANN), ("s2", BOB), ("s3", Principal("other", "ann", "customer"))):
        key = SessionKey(owner.tenant, name)
        sessions.create(key, owner, epoch=f"e-{name}", fields={})

    assert set(ids(sessions, AGENT, everybodys=True)) == {"s1", "s2"}
    assert ids(sessions, AGENT, everybodys=False) == []
    assert ids(sessions, ANN, everybodys=False) == ["s1"]

    sessions.delete(SessionKey("default", "s2"), BOB)
    assert ids(sessions, AGENT, everybodys=True) == ["s1"]
    redis_store.client.delete("kn:default:{s1}:meta")
    assert ids(sessions, AGENT, everybodys=True) == []
