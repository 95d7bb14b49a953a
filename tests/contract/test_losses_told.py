"""A loss that the store noted is told, though the reply that said so came to nobody."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisStore
from kotaemon_node.domain.errors import Gone, StoreUnavailable
from kotaemon_node.domain.session import TurnKey
from tests.contract.test_session_cache import SESSION, Pod
from tests.contract.test_store_losses import a, asks, b, backup, ids, load, reads, restore

__all__ = ["a", "b"]


@pytest.fixture
def unheard(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Scripts that run, and whose replies do not come."""
    scripts: set[str] = set()
    run = RedisStore.run

    def lossy(self: RedisStore, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        reply = run(self, script, keys, arguments)
        if script in scripts:
            raise StoreUnavailable("the session store does not answer")
        return reply

    monkeypatch.setattr(RedisStore, "run", lossy)
    return scripts


@pytest.mark.parametrize("then", [asks, reads])
@pytest.mark.parametrize("notices", [asks, reads])
@pytest.mark.parametrize("times", [1, 3])
def test_a_loss_whose_telling_was_not_heard_is_told_to_the_next(
    a: Pod,
    redis_store: RedisStore,
    unheard: set[str],
    notices: Callable[[Pod], None],
    then: Callable[[Pod], None],
    times: int,
) -> None:
    a.turn("t0")
    saved = backup(redis_store)
    a.turn("t1")
    restore(redis_store, saved)
    unheard |= {"claim", "renew"}
    for _ in range(times):
        with pytest.raises(StoreUnavailable):
            notices(a)
    unheard.clear()

    with pytest.raises(Gone, match="lost the end"):
        then(a)

    assert ids(a.turn("t9").session) == ["t0"]
    assert ids(load(a)) == ["t0", "t9"]
    assert a.told == ["rolled_back"]


def test_a_loss_is_told_though_its_open_turns_could_not_be_entered_at_first(
    a: Pod, b: Pod, redis_store: RedisStore, unheard: set[str]
) -> None:
    a.turn("t0")
    running = b.owned("t1")
    saved = backup(redis_store)
    b.commit(running)
    a.cache.mark(SESSION, epoch="epoch of t0", version=2)
    restore(redis_store, saved)
    b.sessions.settle(TurnKey(SESSION, "t1"))  # that index may be on another node
    unheard.add("enter")
    with pytest.raises(StoreUnavailable):
        reads(a)
    unheard.clear()

    with pytest.raises(Gone):
        reads(a)

    assert "t1" in {orphan.key.turn_id for orphan in a.sessions.orphans(limit=100)}
    assert (a.told, b.told) == (["rolled_back"], [])


def test_calls_that_were_answered_leave_nothing_behind(
    a: Pod, b: Pod, redis_store: RedisStore, unheard: set[str]
) -> None:
    """Who is answered that all is well has no part in a loss that another pod tells later."""
    a.turn("t0")
    unheard.add("claim")
    with pytest.raises(StoreUnavailable):
        a.claim("t1")
    unheard.clear()
    work = a.sessions.seize(TurnKey(SESSION, "t1"), a.name, from_owner=a.name)
    assert work is not None
    a.commit(work)
    saved = backup(redis_store)
    b.turn("t2")
    restore(redis_store, saved)

    with pytest.raises(Gone):
        reads(b)

    assert ids(load(a)) == ["t0", "t1"]
    assert (a.told, b.told) == ([], ["rolled_back"])
