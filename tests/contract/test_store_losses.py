"""A store that lost something of a session is noticed by whoever remembers more, and told once.

Every test runs on each kind of store; what is lost is lost for real, by putting keys back as they
were. ``tests/integration/test_engine_losses.py`` promotes a replica that was behind.
"""

from collections.abc import Callable

import pytest

from kotaemon_node.adapters.redis import RedisFrameLog, RedisStore
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.errors import Gone, SessionNotFound, TurnNotFound
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Principal, SessionView, TurnKey
from kotaemon_node.ports.frame_log import FrameBatch
from tests.contract.test_session_cache import ANYBODY, NAMES, SESSION, Pod
from tests.redis_sets import names_like

Saved = dict[bytes, bytes]
STRANGER = Principal("default", "somebody else", "customer")


@pytest.fixture
def a(redis_store: RedisStore) -> Pod:
    return Pod(redis_store, "pod-a")


@pytest.fixture
def b(redis_store: RedisStore) -> Pod:
    return Pod(redis_store, "pod-b")


def backup(store: RedisStore) -> Saved:
    client = store.client
    return {name: client.dump(name) for name in names_like(store, NAMES.prefix + "*")}


def restore(store: RedisStore, saved: Saved) -> None:
    """Put the session back as it was, as a replica does that became primary too late."""
    if there := names_like(store, NAMES.prefix + "*"):
        store.client.delete(*there)
    for name, value in saved.items():
        store.client.restore(name, 0, value)


def load(pod: Pod, *, after_version: int = 0, limit: int = 100) -> SessionView:
    return pod.sessions.load(SESSION, ANYBODY, after_version=after_version, limit=limit)


def ids(view: SessionView) -> list[str]:
    return [turn.turn_id for turn in view.turns]


def asks(pod: Pod) -> None:
    pod.claim("t9")


def reads(pod: Pod) -> None:
    load(pod)


NOTICING = pytest.mark.parametrize("notices", [asks, reads])


@NOTICING
def test_a_lost_end_is_told_once_and_the_session_goes_on_under_a_new_epoch(
    a: Pod, redis_store: RedisStore, notices: Callable[[Pod], None]
) -> None:
    for number in range(3):
        a.turn(f"t{number}")
    saved = backup(redis_store)
    a.turn("t3")
    restore(redis_store, saved)

    with pytest.raises(Gone, match="lost the end"):
        notices(a)

    left = load(a)
    assert ids(left) == ["t0", "t1", "t2"]
    assert left.epoch not in {"", "epoch of t0"}
    assert (a.told, a.results[-1]) == (["rolled_back"], "rolled_back")
    # What was lost may be sent again: nobody knows its id any more.
    assert ids(a.turn("t3").session) == ["t0", "t1", "t2"]
    assert ids(load(a)) == ["t0", "t1", "t2", "t3"]
    assert load(a).epoch == left.epoch
    assert a.told == ["rolled_back"]


@NOTICING
@pytest.mark.parametrize("others", [1, 2, 5])
def test_a_history_that_went_another_way_is_noticed_by_its_hash(
    a: Pod, b: Pod, redis_store: RedisStore, others: int, notices: Callable[[Pod], None]
) -> None:
    for number in range(3):
        a.turn(f"t{number}")
    saved = backup(redis_store)
    a.turn("t3")
    restore(redis_store, saved)
    for number in range(others):
        b.turn(f"other{number}")
    assert b.told == []

    with pytest.raises(Gone):
        notices(a)

    assert a.turn("t9").session.turns == a.truth()[:-1]
    assert ids(load(a))[3] == "other0"
    b.turn("t10")
    assert (a.told, b.told) == (["rolled_back"], [])


def test_nothing_is_accepted_by_the_claim_that_is_told(a: Pod, redis_store: RedisStore) -> None:
    saved = backup(redis_store)
    a.turn("t0")
    restore(redis_store, saved)

    with pytest.raises(Gone):
        a.claim("t9")

    with pytest.raises(TurnNotFound):
        a.sessions.turn(TurnKey(SESSION, "t9"), ANYBODY)
    assert load(a).running_turn is None


def test_a_client_that_names_its_epoch_is_told_where_no_pod_remembers(
    a: Pod, b: Pod, redis_store: RedisStore
) -> None:
    a.turn("t0")
    known = load(a).epoch
    assert a.claim("t1", epoch=known) is not None
    restore(redis_store, {})

    for _ in range(2):
        with pytest.raises(Gone):
            b.claim("t2", epoch=known)
        with pytest.raises(Gone):
            b.sessions.load(SESSION, ANYBODY, after_version=0, limit=9, epoch=known)
    # Nothing was accepted, and no session begun behind the client's back.
    with pytest.raises(SessionNotFound):
        b.sessions.load(SESSION, ANYBODY, after_version=0, limit=9)
    b.turn("t2")
    with pytest.raises(Gone):
        b.claim("t3", epoch=known)
    assert b.claim("t3", epoch=load(b).epoch) is not None


def test_a_stranger_learns_nothing_by_naming_an_epoch(a: Pod) -> None:
    a.turn("t0")
    for epoch in (load(a).epoch, "another"):
        with pytest.raises(SessionNotFound):
            a.claim("t1", principal=STRANGER, epoch=epoch)
        with pytest.raises(SessionNotFound):
            a.sessions.load(SESSION, STRANGER, after_version=0, limit=9, epoch=epoch)


@NOTICING
def test_a_wiped_session_is_told_once_and_begins_anew(
    a: Pod, redis_store: RedisStore, notices: Callable[[Pod], None]
) -> None:
    a.turn("t0")
    restore(redis_store, {})

    with pytest.raises(Gone, match="lost this session"):
        notices(a)

    assert a.turn("t1").session.turns == ()
    assert ids(load(a)) == ["t1"]
    assert load(a).epoch != "epoch of t0"
    assert a.told == ["wiped"]


def test_where_nobody_may_make_a_session_a_wiped_one_is_gone_once_then_unknown(
    a: Pod, b: Pod, redis_store: RedisStore
) -> None:
    a.turn("t0")
    b.turn("t1")
    restore(redis_store, {})

    with pytest.raises(Gone):
        a.claim("t2", may_create=False)
    for pod in (a, b):
        with pytest.raises(SessionNotFound):
            pod.claim("t3", may_create=False)
        with pytest.raises(SessionNotFound):
            load(pod)
    assert (a.told, b.told) == (["wiped"], [])


def test_a_session_begun_anew_by_a_pod_that_remembers_nothing_is_told_by_one_that_does(
    a: Pod, b: Pod, redis_store: RedisStore
) -> None:
    a.turn("t0")
    restore(redis_store, {})
    b.turn("t1")

    with pytest.raises(Gone):
        a.claim("t2")

    assert ids(a.owned("t2").session) == ["t1"]
    assert (a.told, b.told) == (["wiped"], [])


def test_of_pods_that_remember_different_ends_one_tells(
    a: Pod, b: Pod, redis_store: RedisStore
) -> None:
    a.turn("t0")
    b.turn("t1")
    saved = backup(redis_store)
    a.turn("t2")
    b.turn("t3")
    restore(redis_store, saved)

    with pytest.raises(Gone):
        a.claim("t4")

    # What it remembers is of the epoch before: none of it is used.
    assert ids(b.owned("t4").session) == ["t0", "t1"]
    assert b.results[-1] == "miss"
    assert (a.told, b.told) == (["rolled_back"], [])


def test_a_store_set_back_behind_what_was_told_is_told_again(
    a: Pod, redis_store: RedisStore
) -> None:
    a.turn("t0")
    saved = backup(redis_store)
    a.turn("t1")
    restore(redis_store, saved)
    with pytest.raises(Gone):
        a.claim("t2")
    a.turn("t2")
    epochs = {"epoch of t0", load(a).epoch}
    restore(redis_store, saved)

    with pytest.raises(Gone):
        a.claim("t3")

    # The epoch that the store has again was left before: it must not come back.
    assert load(a).epoch not in epochs
    assert ids(a.owned("t3").session) == ["t0"]


@pytest.mark.parametrize("wiped", [False, True])
def test_the_call_that_tells_has_the_same_effect_when_its_reply_was_lost(
    a: Pod, redis_store: RedisStore, wiped: bool
) -> None:
    saved = backup(redis_store)
    a.turn("t0")
    if not wiped:
        saved = backup(redis_store)
    a.turn("t1")
    known = a.cache.get(SESSION)
    assert known is not None
    restore(redis_store, saved)
    with pytest.raises(Gone):
        a.claim("t2")
    before = backup(redis_store)
    a.cache._put(SESSION, known)  # it has not learned of it

    with pytest.raises(Gone):
        a.claim("t2", again=True)

    assert backup(redis_store).keys() == before.keys()
    assert load(a).epoch == "epoch of t2"
    assert a.turn("t2").session.turns == a.truth()[:-1]


def test_what_events_told_of_is_remembered_too(a: Pod, b: Pod, redis_store: RedisStore) -> None:
    a.turn("t0")
    saved = backup(redis_store)
    b.turn("t1")
    a.cache.mark(SESSION, epoch="epoch of t0", version=2)
    a.cache.mark(SESSION, epoch="epoch of t0", version=1)  # late
    restore(redis_store, saved)

    with pytest.raises(Gone):
        a.claim("t2")
    assert ids(a.owned("t2").session) == ["t0"]


def test_an_event_of_the_session_begun_anew_does_not_hide_the_loss(
    a: Pod, b: Pod, redis_store: RedisStore
) -> None:
    a.turn("t0")
    restore(redis_store, {})
    b.turn("t1")
    a.cache.mark(SESSION, epoch="epoch of t1 by pod-b", version=1)

    with pytest.raises(Gone):
        a.claim("t2")


def test_a_deletion_is_no_loss_however_old_the_memory_of_it(
    a: Pod, b: Pod, redis_store: RedisStore
) -> None:
    a.turn("t0")
    b.sessions.delete(SESSION, ANYBODY)
    redis_store.client.delete(NAMES.seen)  # its ids are kept for less long

    with pytest.raises(SessionNotFound):
        load(a)
    b.turn("t1")
    assert ids(a.turn("t2").session) == ["t1"]
    b.sessions.delete(SESSION, ANYBODY)
    assert a.turn("t3").session.turns == ()
    assert a.told == b.told == []


def test_the_end_of_a_sessions_life_is_no_loss(a: Pod, redis_store: RedisStore) -> None:
    a.turn("t0")
    restore(redis_store, {})
    a.now_s += 3600

    with pytest.raises(SessionNotFound):
        load(a)
    assert a.turn("t1").session.turns == ()
    assert a.told == []


def test_a_stranger_is_not_told_that_there_was_a_session(a: Pod, redis_store: RedisStore) -> None:
    a.turn("t0")
    restore(redis_store, {})
    stranger = Principal("default", "somebody", "customer")

    with pytest.raises(SessionNotFound):
        a.sessions.load(SESSION, stranger, after_version=0, limit=1)
    assert a.claim("t1", principal=stranger) is not None
    assert a.told == []


def test_more_turns_than_there_are_were_not_seen_here(a: Pod) -> None:
    a.turn("t0")
    assert load(a, after_version=1).turns == ()
    with pytest.raises(Gone, match="fewer turns"):
        load(a, after_version=2)


def test_a_turn_that_survived_goes_on_under_the_new_epoch_and_its_calls_keep_their_keys(
    a: Pod, b: Pod, redis_store: RedisStore
) -> None:
    a.turn("t0")
    running = b.owned("t1")
    assert b.claim("t2") is None
    saved = backup(redis_store)
    b.commit(running)
    a.cache.mark(SESSION, epoch="epoch of t0", version=2)
    restore(redis_store, saved)
    for turn_id in ("t1", "t2"):
        b.sessions.settle(TurnKey(SESSION, turn_id))  # that index may be on another node

    with pytest.raises(Gone):
        a.claim("t3")

    open_turns = {orphan.key.turn_id for orphan in a.sessions.orphans(limit=100)}
    assert {"t1", "t2"} <= open_turns
    with pytest.raises(Gone):
        b.commit(running)
    again = b.sessions.seize(TurnKey(SESSION, "t1"), b.name, from_owner=b.name)
    assert again is not None
    assert again.lease.epoch == "epoch of t3"
    assert again.lease.accepted_in == running.lease.accepted_in == "epoch of t0"
    following = b.commit(again).next
    assert following is not None
    b.commit(following, seq=2)
    assert [turn.turn_id for turn in a.truth()] == ["t0", "t1", "t2"]


def test_who_takes_over_and_remembers_more_leaves_it_to_the_next_claim_to_tell(
    a: Pod, b: Pod
) -> None:
    a.turn("t0")
    b.owned("t1")
    a.cache.mark(SESSION, epoch="epoch of t0", version=5)

    work = a.sessions.seize(TurnKey(SESSION, "t1"), a.name, from_owner=b.name)

    assert work is not None
    assert ids(work.session) == ["t0"]
    a.commit(work)
    assert a.told == []
    with pytest.raises(Gone):
        a.claim("t2")
    assert ids(a.owned("t2").session) == ["t0", "t1"]


def test_frames_of_another_epoch_are_refused(a: Pod, b: Pod, redis_store: RedisStore) -> None:
    log = RedisFrameLog(redis_store, clock=SystemClock(), tasks=ThreadTasks())
    a.turn("t0")
    saved = backup(redis_store)
    a.turn("t1")
    restore(redis_store, saved)
    work = b.owned("t2")
    with pytest.raises(Gone):
        a.claim("t3")

    (error,) = log.append([FrameBatch(work.lease, 1, (FrameBody("restart", {}),))])

    assert isinstance(error, Gone)


def test_the_epochs_before_are_forgotten_with_the_session(a: Pod, redis_store: RedisStore) -> None:
    a.turn("t0")
    a.sessions.delete(SESSION, ANYBODY)
    assert 0 < redis_store.client.ttl(NAMES.prefix + "past") <= 3600
