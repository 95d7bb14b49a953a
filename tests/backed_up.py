"""A destination of backups, and what is backed up to it: parts of a cluster within one process."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import RedisStore, RedisWholeSessions
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.backup.format import PARTS, Backup, Kind, Part
from kotaemon_node.backup.keeping import Verified, verify
from kotaemon_node.backup.knowledge import KnowledgeCopying
from kotaemon_node.backup.making import Making, Source
from kotaemon_node.backup.plugins import PluginsCopying
from kotaemon_node.backup.restoring import KnowledgeRestoring, Restored, SessionsRestoring
from kotaemon_node.backup.sessions import SessionsCopying
from kotaemon_node.backup.shelf import Shelf
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.backup import WholeSessions
from kotaemon_node.ports.plugin_registry import PluginRegistry

TENANT = "default"
DAY_S = 86_400.0


_NEW = RandomIds().new_id


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait for the disk: what survives a crash of the machine is not shown here."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def no_words(kind: str, more: int) -> None:
    """Be told of progress, and say nothing."""


def whole_sessions(store: RedisStore) -> RedisWholeSessions:
    """Return the sessions of a Redis, with an archive."""
    return RedisWholeSessions(store, tenant=TENANT, ttl_s=3600, kept_s=90 * DAY_S, indexed=True)


@dataclass
class BackedUp:
    """A cluster's stores and the folder ``backups``."""

    sessions: WholeSessions
    artifacts: ArtifactStore
    backups: Path
    documents: Path | None = None
    clock: SystemClock = field(default_factory=SystemClock)
    lease_s: float = 60.0
    plugins: PluginRegistry | None = None

    def __post_init__(self) -> None:
        self.store = FileArtifactStore(self.backups, mode=0o600)
        self.shelf = Shelf(self.store)

    def back_up(
        self,
        kind: Kind | None = None,
        *,
        what: Sequence[Part] = PARTS,
        tell: Callable[[str, int], None] = no_words,
    ) -> Backup:
        """Make a backup."""
        copying = SessionsCopying(
            self.sessions, self.artifacts, tenant=TENANT, clock=self.clock, pause_s=0
        )
        knowledge = KnowledgeCopying(self.artifacts, documents=self.documents, tenant=TENANT)
        plugins = self.plugins and PluginsCopying(self.plugins, self.artifacts, tenant=TENANT)
        source = Source(
            copying, knowledge, product="1", cluster="c", tenant=TENANT, plugins=plugins
        )
        making = Making(source, self.store, clock=self.clock, ids=RandomIds())
        return making.run(kind=kind, what=what, tell=tell, lease_s=self.lease_s)

    def restore_sessions(
        self, backup: Backup, *, epochs: Callable[[], str] | None = _NEW
    ) -> Restored:
        """Put the sessions of a backup back; ``epochs`` None: under the epochs that they had."""
        restoring = SessionsRestoring(
            self.shelf, self.sessions, self.artifacts, new_epoch=epochs, tell=no_words
        )
        return restoring.run(backup)

    def restore_knowledge(
        self, backup: Backup, onto: ArtifactStore, documents: Path, *, replaces: bool = False
    ) -> Restored:
        """Put knowledge back into another place; return what became of artifacts."""
        restoring = KnowledgeRestoring(
            self.shelf, onto, documents, tell=no_words, replaces=replaces
        )
        return restoring.run(backup)[0]

    def verified(self, backup: Backup) -> Verified:
        """Read everything of a backup again."""
        return verify(self.store, backup.id, no_words)

    def files(self, folder: str = "") -> list[Path]:
        """Return the files of the destination."""
        found = (self.backups / folder).rglob("*")
        return sorted(it for it in found if it.is_file() and ".incoming" not in it.parts)
