"""Backups of sessions, step by step: what is copied, what comes back, and who is told what."""

from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import RedisStore, keys
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.backup.format import Backup, BackupRefused
from kotaemon_node.domain.errors import Gone, SessionNotFound
from kotaemon_node.domain.session import SessionKey
from tests.archived_pods import ArchivedPod, Attic, settled
from tests.backed_up import BackedUp, quick_disk, whole_sessions
from tests.contract.test_session_cache import ANYBODY, SESSION
from tests.redis_server import RedisServer, Server

__all__ = ["quick_disk"]

OTHER = SessionKey("default", "s2")


@pytest.fixture(scope="session")
def store_server(redis_server: RedisServer) -> Server:
    """One kind of store: what differs between them is in ``test_backup_sessions``."""
    return redis_server


@pytest.fixture
def attic(redis_store: RedisStore, tmp_path: Path) -> Attic:
    return Attic(redis_store, tmp_path / "artifacts")


@pytest.fixture
def pod(redis_store: RedisStore, attic: Attic) -> ArchivedPod:
    return ArchivedPod(redis_store, "pod-a", attic.copies)


@pytest.fixture
def stranger(redis_store: RedisStore, attic: Attic) -> ArchivedPod:
    """A pod that was started after the loss, and remembers nothing."""
    return ArchivedPod(redis_store, "pod-b", attic.copies)


@pytest.fixture
def cluster(redis_store: RedisStore, attic: Attic, tmp_path: Path) -> BackedUp:
    return BackedUp(whole_sessions(redis_store), attic.copies, tmp_path / "backups")


def back_up(cluster: BackedUp) -> Backup:
    return cluster.back_up(what=["sessions"])


def epoch_of(pod: ArchivedPod) -> str:
    return pod.sessions.load(SESSION, ANYBODY, after_version=0, limit=0).epoch


def test_who_saw_more_than_the_backup_has_is_told_and_goes_on_from_what_is_left(
    pod: ArchivedPod, stranger: ArchivedPod, cluster: BackedUp, store_server: Server
) -> None:
    settled(pod, "t0")
    backup = back_up(cluster)
    settled(pod, "t1")
    known = epoch_of(pod)
    store_server.wipe()
    cluster.restore_sessions(backup)

    # No pod remembers anything, and the client names no version: the epoch alone tells it.
    with pytest.raises(Gone):
        stranger.ids(epoch=known)
    with pytest.raises(Gone):
        stranger.claim("t2", epoch=known)
    assert stranger.ids() == ["t0"]
    # A pod that remembers tells its clients as well, once.
    with pytest.raises(Gone):
        pod.claim("t2")
    assert pod.told == ["wiped"]
    assert [turn.turn_id for turn in pod.turn("t3").session.turns] == ["t0"]


def test_what_was_told_as_lost_comes_back_under_another_epoch_and_what_was_deleted_does_not(
    pod: ArchivedPod, stranger: ArchivedPod, cluster: BackedUp, redis_store: RedisStore
) -> None:
    settled(pod, "t0")
    settled(pod, "t0", session=OTHER)
    known = epoch_of(pod)
    backup = back_up(cluster)
    pod.sessions.delete(OTHER, ANYBODY)
    redis_store.client.delete(*SessionKeys.of(SESSION).head())
    # Whoever reads before the restore is told, as on any day on which a store is wiped.
    with pytest.raises(Gone):
        pod.ids()

    # Under the same epoch nobody could be told that something is missing.
    assert cluster.restore_sessions(backup, epochs=None).ended == 2
    done = cluster.restore_sessions(backup)

    assert (done.restored, done.there, done.ended) == (1, 0, 1)
    assert stranger.ids() == ["t0"]
    with pytest.raises(Gone):
        stranger.ids(epoch=known)
    with pytest.raises(SessionNotFound):
        pod.sessions.load(OTHER, ANYBODY, after_version=0, limit=1)


def test_what_was_begun_anew_after_a_loss_and_deleted_does_not_come_back_as_it_was(
    pod: ArchivedPod, cluster: BackedUp, redis_store: RedisStore
) -> None:
    settled(pod, "t0")
    backup = back_up(cluster)
    redis_store.client.delete(*SessionKeys.of(SESSION).head())
    with pytest.raises(Gone):
        pod.ids()
    settled(pod, "t1")
    pod.sessions.delete(SESSION, ANYBODY)

    assert cluster.restore_sessions(backup).ended == 1
    with pytest.raises(SessionNotFound):
        pod.sessions.load(SESSION, ANYBODY, after_version=0, limit=1)


def test_neither_does_one_that_rested_in_the_archive(
    pod: ArchivedPod, cluster: BackedUp, attic: Attic, store_server: Server
) -> None:
    settled(pod, "t0")
    attic.sweep()
    backup = back_up(cluster)
    store_server.wipe()
    for name in attic.names():
        attic.copies.delete(name)
    with pytest.raises(Gone):
        pod.ids()
    settled(pod, "t1")
    pod.sessions.delete(SESSION, ANYBODY)

    assert cluster.restore_sessions(backup).ended == 1
    with pytest.raises(SessionNotFound):
        pod.sessions.load(SESSION, ANYBODY, after_version=0, limit=1)


def test_what_was_deleted_before_the_session_began_does_not_keep_it_from_coming_back(
    pod: ArchivedPod, stranger: ArchivedPod, cluster: BackedUp, redis_store: RedisStore
) -> None:
    settled(pod, "t0")
    pod.sessions.delete(SESSION, ANYBODY)
    settled(pod, "t1")
    backup = back_up(cluster)
    redis_store.client.delete(*SessionKeys.of(SESSION).head())

    assert cluster.restore_sessions(backup).restored == 1
    assert stranger.ids() == ["t1"]


def test_where_nothing_was_written_since_epochs_may_stay_and_nobody_is_told(
    pod: ArchivedPod, stranger: ArchivedPod, cluster: BackedUp, store_server: Server
) -> None:
    settled(pod, "t0")
    known = epoch_of(pod)
    backup = back_up(cluster)
    store_server.wipe()
    cluster.restore_sessions(backup, epochs=None)

    assert stranger.ids(epoch=known) == ["t0"]
    assert [turn.turn_id for turn in pod.turn("t1").session.turns] == ["t0"]
    assert (pod.told, stranger.told) == ([], [])


def test_what_is_there_is_never_replaced(
    pod: ArchivedPod, cluster: BackedUp, store_server: Server
) -> None:
    settled(pod, "t0")
    settled(pod, "t0", session=OTHER)
    backup = back_up(cluster)
    settled(pod, "t1")
    pod.sessions.delete(OTHER, ANYBODY)

    done = cluster.restore_sessions(backup, epochs=None)

    assert (done.restored, done.there, done.ended) == (0, 1, 1)
    assert pod.ids() == ["t0", "t1"]
    with pytest.raises(SessionNotFound):
        pod.sessions.load(OTHER, ANYBODY, after_version=0, limit=1)


def test_the_second_backup_copies_only_what_changed_and_the_first_is_not_needed_alone(
    pod: ArchivedPod, stranger: ArchivedPod, cluster: BackedUp, store_server: Server
) -> None:
    for number in range(20):
        settled(pod, "t0", session=SessionKey("default", f"many-{number}"))
    first = back_up(cluster)
    settled(pod, "t0")
    settled(pod, "t1", session=SessionKey("default", "many-7"))
    second = back_up(cluster)

    assert first.sessions is not None
    assert second.sessions is not None
    assert (first.kind, first.sessions.copied) == ("full", 20)
    assert (second.kind, second.parent) == ("incremental", first.id)
    assert (second.sessions.copied, second.sessions.sessions) == (2, 21)
    assert second.sessions.turns == 22
    store_server.wipe()
    assert cluster.restore_sessions(second).restored == 21
    assert stranger.ids() == ["t0"]


def test_a_turn_that_runs_is_not_in_the_backup_and_is_executed_anew_when_sent_again(
    pod: ArchivedPod, stranger: ArchivedPod, cluster: BackedUp, store_server: Server
) -> None:
    settled(pod, "t0")
    pod.owned("t1")
    backup = back_up(cluster)
    store_server.wipe()
    cluster.restore_sessions(backup)

    assert stranger.ids() == ["t0"]
    assert stranger.claim("t1") is not None


def test_a_turn_that_ends_while_its_session_is_copied_is_in_it_whole_or_not_at_all(
    pod: ArchivedPod, stranger: ArchivedPod, cluster: BackedUp, store_server: Server
) -> None:
    settled(pod, "t0")
    work, sessions = pod.owned("t1"), cluster.sessions
    reads = sessions._store.run  # type: ignore[attr-defined]

    def between(script, names, arguments):  # type: ignore[no-untyped-def]
        reply = reads(script, names, arguments)
        if script == "whole":
            pod.commit(work)
        return reply

    sessions._store.run = between  # type: ignore[attr-defined]
    backup = back_up(cluster)
    sessions._store.run = reads  # type: ignore[attr-defined]
    assert pod.ids() == ["t0", "t1"]
    store_server.wipe()
    cluster.restore_sessions(backup)
    assert stranger.ids() == ["t0"]


def test_where_the_archive_has_a_newer_one_an_older_is_not_put_in_its_place(
    pod: ArchivedPod, cluster: BackedUp, attic: Attic, store_server: Server
) -> None:
    settled(pod, "t0")
    backup = back_up(cluster)
    settled(pod, "t1")
    attic.sweep()
    store_server.wipe()

    assert cluster.restore_sessions(backup).there == 1
    assert pod.ids() == ["t0", "t1"]
    assert pod.told == []


def test_a_history_that_is_not_whole_is_left_out_and_counted(
    pod: ArchivedPod, cluster: BackedUp, redis_store: RedisStore
) -> None:
    settled(pod, "t0")
    settled(pod, "t0", session=OTHER)
    redis_store.client.rpop(SessionKeys.of(OTHER).turns)

    backup = back_up(cluster)

    assert backup.sessions is not None
    assert (backup.sessions.sessions, backup.sessions.skipped) == (1, 1)
    assert cluster.verified(backup).problems == ()


def test_an_incremental_backup_needs_one_before_it(cluster: BackedUp) -> None:
    with pytest.raises(BackupRefused, match="--full"):
        cluster.back_up("incremental", what=["sessions"])


def test_keys_and_the_secret_behind_ids_come_back_where_none_are(
    pod: ArchivedPod, cluster: BackedUp, redis_store: RedisStore, store_server: Server
) -> None:
    client = redis_store.client
    settled(pod, "t0")
    client.hset(keys.API_KEYS, "k1", "what is kept")
    client.set(keys.SESSION_SECRET, "old secret")
    backup = back_up(cluster)
    store_server.wipe()
    client.set(keys.SESSION_SECRET, "made by a pod that met an empty store")

    assert cluster.restore_sessions(backup).differs == []
    assert client.hgetall(keys.API_KEYS) == {b"k1": b"what is kept"}
    assert client.get(keys.SESSION_SECRET) == b"old secret"
    assert client.get(keys.API_KEYS_STAMP)

    # Into a cluster that lives: what was revoked stays so, and ids that are in use stay valid.
    client.delete(keys.API_KEYS)
    client.hset(keys.API_KEYS, "k2", "another")
    client.set(keys.SESSION_SECRET, "new secret")
    differs = cluster.restore_sessions(backup).differs
    assert len(differs) == 2
    assert client.hkeys(keys.API_KEYS) == [b"k2"]
    assert client.get(keys.SESSION_SECRET) == b"new secret"
