"""An archive and a store that forgot: what was seen is there again, or its loss is told once."""

import pytest

from kotaemon_node.adapters.redis import RedisStore
from kotaemon_node.domain.errors import Gone, SessionNotFound, Unavailable
from kotaemon_node.domain.session import SessionKey, TurnKey
from tests.archived_pods import ArchivedPod, Attic, settled
from tests.contract.test_archive import a, attic, b, left, tidy
from tests.contract.test_session_cache import ANYBODY, SESSION
from tests.contract.test_store_losses import backup, restore

__all__ = ["a", "attic", "b"]


@pytest.fixture
def stranger_pod(redis_store: RedisStore, attic: Attic) -> ArchivedPod:
    """A pod that remembers nothing."""
    return ArchivedPod(redis_store, "pod-c", attic.copies)


def test_what_was_wiped_and_is_archived_is_no_loss_to_those_who_know_of_it(
    a: ArchivedPod, b: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    epoch = a.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).epoch
    attic.sweep()
    restore(redis_store, {})
    assert a.turn("t1").session.turns != ()
    restore(redis_store, {})
    # The archive is behind what was seen since: that is told, and the session goes on from there.
    with pytest.raises(Gone):
        a.claim("t2")
    assert a.ids() == ["t0"]
    restore(redis_store, {})
    assert b.ids(epoch=epoch) == ["t0"]
    assert (a.told, b.told) == (["rolled_back"], [])


def test_an_archive_behind_what_was_seen_is_told_once_and_nothing_is_merged(
    a: ArchivedPod, stranger_pod: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    saved = backup(redis_store)
    settled(a, "t1")
    epoch = a.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).epoch
    restore(redis_store, saved)

    with pytest.raises(Gone, match="lost the end"):
        a.claim("t2")

    assert a.ids() == ["t0"]
    with pytest.raises(Gone):
        stranger_pod.ids(epoch=epoch)
    with pytest.raises(Gone):
        stranger_pod.ids(after_version=2)
    assert [turn.turn_id for turn in stranger_pod.turn("t2").session.turns] == ["t0"]
    assert (a.told, stranger_pod.told) == (["rolled_back"], [])


def test_a_mark_of_before_finds_the_newer_copy(
    a: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    saved = backup(redis_store)
    settled(a, "t1")
    attic.sweep()
    restore(redis_store, saved)

    assert a.ids() == ["t0", "t1"]
    assert a.told == []


def test_a_copy_whose_loss_was_told_does_not_come_back(
    a: ArchivedPod, stranger_pod: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    before = backup(redis_store)
    settled(a, "t1")
    restore(redis_store, before)
    with pytest.raises(Gone):
        a.claim("t2")  # another epoch from here on
    copies = attic.cold.copy(SESSION)
    assert copies is not None
    attic.sweep()
    assert left(redis_store) == ["archived"]
    assert stranger_pod.ids() == ["t0"]
    # Who knew the first epoch is told nothing twice, and nobody else at all.
    assert a.turn("t3").session.turns != ()
    assert (a.told, stranger_pod.told) == (["rolled_back"], [])


def test_a_store_that_forgot_is_told_of_all_that_is_archived(
    stranger_pod: ArchivedPod, a: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    restore(redis_store, {})
    with pytest.raises(SessionNotFound):
        stranger_pod.ids()

    tidy(attic)

    assert attic.metric("kotaemon_sessions_marked_total") == 1
    assert left(redis_store) == ["archived"]
    assert stranger_pod.ids() == ["t0"]


def test_it_is_told_of_those_of_every_tenant(
    a: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    for number in range(3):
        settled(a, "t0", session=SessionKey("acme", f"s{number}"))
    attic.sweep()
    marks = [f"kn:acme:{{s{number}}}:archived" for number in range(3)]
    for mark in marks:
        assert redis_store.client.delete(mark)

    archiving = attic.archiving()
    for _ in range(2 * 256):  # the bucket in which it is noticed is looked into twice
        archiving.tidy()

    assert attic.metric("kotaemon_sessions_marked_total") == 3
    assert all(redis_store.client.get(mark) for mark in marks)


def test_a_session_begun_anew_before_that_stays_and_who_knew_the_old_one_is_told(
    stranger_pod: ArchivedPod, a: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    epoch = a.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).epoch
    attic.sweep()
    restore(redis_store, {})
    settled(stranger_pod, "t1")
    tidy(attic)

    with pytest.raises(Gone):
        stranger_pod.ids(epoch=epoch)
    with pytest.raises(Gone):
        a.ids()
    assert a.ids() == ["t1"]
    # It is archived like any other, and is the one that comes back.
    attic.sweep()
    assert len(attic.names()) == 1
    restore(redis_store, {})
    tidy(attic)
    assert stranger_pod.ids() == ["t1"]


def test_while_the_archive_is_away_nobody_who_knows_the_session_begins_it_anew(
    a: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    attic.sweep()
    restore(redis_store, {})
    attic.copies.away = True
    with pytest.raises(Unavailable):
        a.claim("t1")
    with pytest.raises(Unavailable):
        a.ids()
    attic.copies.away = False
    assert a.ids() == ["t0"]
    assert a.told == []


def test_what_is_nowhere_is_a_loss_as_before(
    a: ArchivedPod, attic: Attic, redis_store: RedisStore
) -> None:
    settled(a, "t0")
    restore(redis_store, {})
    with pytest.raises(Gone, match="lost this session"):
        a.claim("t1")
    assert a.turn("t1").session.turns == ()
    assert a.told == ["wiped"]
    assert a.sessions.turn(TurnKey(SESSION, "t1"), ANYBODY).version == 1
