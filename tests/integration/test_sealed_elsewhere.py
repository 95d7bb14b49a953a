"""What is sealed in Redis stays sealed in archive and backup; a shredded tenant opens nowhere."""

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.archiving import Archiving
from coordinator.metrics import CoordinatorMetrics
from kotaemon_node.adapters.redis import (
    Archive,
    RedisColdSessions,
    RedisDataKeys,
    RedisSessionStore,
    RedisWholeSessions,
    connect,
)
from kotaemon_node.adapters.sealing import (
    CopiesInArtifacts,
    DataKeyRing,
    KeyKeeper,
    MasterKeyLines,
    SealingCipher,
)
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.adapters.system.secret_file import FixedLines
from kotaemon_node.backup.format import Backup
from kotaemon_node.backup.knowledge import KnowledgeCopying
from kotaemon_node.backup.making import Making, Source
from kotaemon_node.backup.restoring import SessionsRestoring
from kotaemon_node.backup.sessions import SessionsCopying
from kotaemon_node.backup.shelf import Shelf
from kotaemon_node.domain.errors import Sealed
from kotaemon_node.domain.session import SessionView
from kotaemon_node.ports.cipher import FieldCipher, NoCipher
from tests.backed_up import no_words, quick_disk
from tests.redis_dump import says
from tests.redis_server import RedisServer
from tests.sealed_story import ANN, WORD, Story, session, turn
from tests.sealing_parts import MASTER

__all__ = ["quick_disk"]

DAY_S = 86_400.0
CLOCK = SystemClock()
_ZLIB = re.compile(rb"x[\x01\x5e\x9c\xda]")


@dataclass
class Whole:
    """A cluster: a real Redis, an artifact store with the archive, and a place for backups."""

    server: RedisServer
    artifacts: FileArtifactStore
    backups: FileArtifactStore
    sealed: bool = True

    def __post_init__(self) -> None:
        self.store = connect(self.server.url)
        self.keys = RedisDataKeys(self.store)
        self.masters = MasterKeyLines(FixedLines((MASTER,)))
        copies = CopiesInArtifacts(self.artifacts)
        self.keeper = KeyKeeper(self.keys, copies, self.masters, clock=CLOCK)
        self.there = CopiesInArtifacts(self.backups)

    def cipher(self) -> FieldCipher:
        """Return that of one more pod."""
        if not self.sealed:
            return NoCipher()
        copies = CopiesInArtifacts(self.artifacts)
        return SealingCipher(DataKeyRing(self.keys, self.masters, copies=copies, clock=CLOCK))

    def pod(self) -> Story:
        """Return one more pod, with the archive."""
        store = connect(self.server.url, cipher=self.cipher())
        pod = Story(store)
        archive = Archive(self.artifacts, kept_s=90 * DAY_S)
        pod.sessions = RedisSessionStore(store, ttl_s=3600, idle_s=1800, archive=archive)
        return pod

    def talk(self) -> None:
        """Have a turn in the session ``said``, and end it."""
        pod = self.pod()
        pod.finish(pod.run("said", "t1"))
        pod.sessions.settle(turn("said", "t1"))

    def rest(self) -> None:
        """Move what rests to the archive, as the coordinator does."""
        archiving = Archiving(
            RedisColdSessions(self.store),
            self.artifacts,
            leads=lambda: True,
            metrics=CoordinatorMetrics().archive,
            clock=CLOCK,
            known=lambda: ["shop"],
            after_s=1e-9,
            kept_s=90 * DAY_S,
            keys_copied=self.keeper.mirror_of,
        )
        archiving.sweep()

    def back_up(self) -> Backup:
        """Make a backup of the sessions."""
        copying = SessionsCopying(
            self._whole(), self.artifacts, tenant="shop", clock=CLOCK, pause_s=0
        )
        source = Source(
            copying,
            KnowledgeCopying(self.artifacts, documents=None, tenant="shop"),
            product="1",
            cluster="c",
            tenant="shop",
            copy_keys=lambda to: self.keeper.copy_to(CopiesInArtifacts(to), "shop"),
        )
        making = Making(source, self.backups, clock=CLOCK, ids=RandomIds())
        return making.run(kind=None, what=["sessions"], tell=no_words, lease_s=60)

    def restore(self, backup: Backup) -> int:
        """Put a backup back, as the command line does; return how many sessions came."""
        self.keeper.take_from(self.there, "shop")
        restoring = SessionsRestoring(
            Shelf(self.backups), self._whole(), self.artifacts, new_epoch=None, tell=no_words
        )
        return restoring.run(backup).restored

    def lose_everything(self) -> None:
        """Lose Redis and the artifact store; the backup is left."""
        self.server.wipe()
        for name in list(self.artifacts.list("")):
            self.artifacts.delete(name)

    def _whole(self) -> RedisWholeSessions:
        return RedisWholeSessions(
            self.store, tenant="shop", ttl_s=3600, kept_s=90 * DAY_S, indexed=True
        )


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def cluster(server: RedisServer, tmp_path: Path) -> Whole:
    server.wipe()
    places = (FileArtifactStore(tmp_path / name) for name in ("artifacts", "backups"))
    return Whole(server, *places)


def said(folder: Path) -> bool:
    """Tell whether any file below says the word, in the clear or packed, wherever it begins."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
    assert files
    return any(says(part, WORD) for path in files for part in unpacked(path.read_bytes()))


def unpacked(raw: bytes) -> Iterator[bytes]:
    """Yield the bytes, and what unpacks from any place in them; packs within packs, too."""
    yield raw
    for found in _ZLIB.finditer(raw):
        with suppress(zlib.error):
            yield from unpacked(zlib.decompressobj().decompress(raw[found.start() :]))


def view(cluster: Whole) -> SessionView:
    return cluster.pod().load("said")


def test_archive_and_backup_hold_nothing_in_the_clear_and_open_for_pods(
    cluster: Whole, tmp_path: Path
) -> None:
    cluster.talk()
    alive = cluster.back_up()
    cluster.rest()
    rested = cluster.back_up()
    assert alive.sessions is not None
    assert rested.sessions is not None
    assert (alive.sessions.sessions, rested.sessions.archived) == (1, 1)

    assert not said(tmp_path / "artifacts")
    assert not said(tmp_path / "backups")
    [told] = view(cluster).turns
    assert (WORD in told.message, WORD in str(told.answer)) == (True, True)


def test_the_search_finds_the_word_where_nothing_is_sealed(cluster: Whole, tmp_path: Path) -> None:
    cluster.sealed = False
    cluster.talk()
    cluster.back_up()
    cluster.rest()

    assert said(tmp_path / "artifacts")
    assert said(tmp_path / "backups")


def test_a_backup_brings_an_empty_cluster_its_sessions_and_what_opens_them(cluster: Whole) -> None:
    cluster.talk()
    before = view(cluster).turns
    backup = cluster.back_up()
    cluster.lose_everything()

    assert cluster.restore(backup) == 1

    assert view(cluster).turns == before


def test_the_archive_opens_though_redis_and_its_keys_are_lost(cluster: Whole) -> None:
    cluster.talk()
    before = view(cluster).turns
    backup = cluster.back_up()
    cluster.rest()
    cluster.server.wipe()

    # Only the session comes from the backup: what opens it lies beside the archive.
    cluster.there = CopiesInArtifacts(FileArtifactStore(cluster.server.folder / "none"))
    cluster.restore(backup)

    pod = cluster.pod()
    loaded = pod.sessions.load(session("said"), ANN, after_version=0, limit=9, epoch="epoch-t1")
    assert loaded.turns == before


@pytest.mark.parametrize("rests", [False, True])
def test_a_shredded_tenant_opens_neither_here_nor_from_a_backup(
    cluster: Whole, *, rests: bool
) -> None:
    cluster.talk()
    backup = cluster.back_up()
    if rests:
        cluster.rest()
    ids = list(cluster.keeper.tables()["shop"].rows)
    assert ids

    cluster.keeper.destroy("shop", ids)
    cluster.there.destroy("shop", ids)
    with pytest.raises(Sealed, match="destroyed"):
        view(cluster)

    # The backup comes back, and says what was destroyed also to a cluster that never heard of it.
    cluster.lose_everything()
    assert cluster.restore(backup) == 1
    with pytest.raises(Sealed, match="destroyed"):
        view(cluster)
    assert cluster.keys.read("shop").destroyed == set(ids)
    # Another backup of that does not bring keys either, and a new talk has a key of its own.
    cluster.back_up()
    assert not cluster.there.read("shop").rows
    pod = cluster.pod()
    pod.finish(pod.run("another", "t1"))
    assert WORD in str(cluster.pod().load("another").turns)
