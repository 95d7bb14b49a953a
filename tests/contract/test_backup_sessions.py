"""Sessions that are backed up and brought back, on each kind of real store."""

from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import RedisStore, keys
from kotaemon_node.backup.format import Backup
from kotaemon_node.domain.errors import Gone
from kotaemon_node.domain.session import SessionKey, TurnKey
from tests.archived_pods import ArchivedPod, Attic, settled
from tests.backed_up import BackedUp, quick_disk, whole_sessions
from tests.contract.test_session_cache import ANYBODY, SESSION
from tests.redis_server import Server

__all__ = ["quick_disk"]

OTHER = SessionKey("default", "s2")


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


def test_after_a_wipe_a_session_is_as_it_was_and_goes_on(
    pod: ArchivedPod, stranger: ArchivedPod, cluster: BackedUp, store_server: Server
) -> None:
    for turn_id in ("t0", "t1"):
        settled(pod, turn_id)
    before = pod.truth()
    backup = back_up(cluster)
    store_server.wipe()

    assert cluster.restore_sessions(backup).restored == 1

    assert stranger.truth() == before
    rows = stranger.sessions.list(ANYBODY, offset=0, limit=10)
    assert [(row.session_id, row.version) for row in rows] == [("s1", 2)]
    # A retry of an old turn gets its answer, and a new one knows the history.
    assert stranger.sessions.turn(TurnKey(SESSION, "t1"), ANYBODY).version == 2
    assert stranger.claim("t1") is None
    assert [turn.turn_id for turn in stranger.turn("t2").session.turns] == ["t0", "t1"]


def test_a_session_that_rests_comes_back_to_the_archive_and_from_there(
    pod: ArchivedPod,
    stranger: ArchivedPod,
    cluster: BackedUp,
    attic: Attic,
    store_server: Server,
) -> None:
    settled(pod, "t0")
    known = epoch_of(pod)
    attic.sweep()
    backup = back_up(cluster)
    assert backup.sessions is not None
    assert (backup.sessions.sessions, backup.sessions.archived) == (1, 1)
    store_server.wipe()
    for name in attic.names():
        attic.copies.delete(name)

    assert cluster.restore_sessions(backup).restored == 1

    rows = stranger.sessions.list(ANYBODY, offset=0, limit=10)
    assert [(row.session_id, row.archived) for row in rows] == [("s1", True)]
    with pytest.raises(Gone):
        stranger.ids(epoch=known)
    assert stranger.ids() == ["t0"]
    # Brought back from there, it is not put back once more.
    assert cluster.restore_sessions(backup).there == 1


def test_a_store_that_holds_other_things_has_only_its_sessions_copied(
    pod: ArchivedPod, cluster: BackedUp, redis_store: RedisStore
) -> None:
    settled(pod, "t0")
    redis_store.client.set(keys.touch(3), "")
    redis_store.client.set("kn:other:{s9}:meta", "")
    assert [key.session_id for key in cluster.sessions.keys()] == ["s1"]  # noqa: SIM118 - a port's
