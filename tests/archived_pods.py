"""Pods whose sessions rest in an archive, and the coordinator that moves them there."""

from collections.abc import Callable, Collection
from pathlib import Path

from coordinator.archiving import Archiving
from coordinator.metrics import CoordinatorMetrics
from kotaemon_node.adapters.redis import (
    Archive,
    RedisColdSessions,
    RedisSessionStore,
    RedisStore,
)
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.artifact_names import session_copies_prefix
from kotaemon_node.domain.session import Principal, SessionKey
from kotaemon_node.ports.archive import IdleEntry
from kotaemon_node.ports.artifacts import ArtifactStore, ArtifactsUnavailable
from tests.contract.test_session_cache import ANYBODY, SESSION, Pod

DAY_S = 86_400.0


class Away(FileArtifactStore):
    """An archive that can be away."""

    away = False
    asked = 0

    def get(self, name: str) -> bytes | None:
        self._ask()
        return super().get(name)

    def list(self, prefix: str):  # type: ignore[no-untyped-def]
        self._ask()
        return super().list(prefix)

    def put_if_absent(self, name: str, content: bytes) -> bool:
        self._ask()
        return super().put_if_absent(name, content)

    def _ask(self) -> None:
        self.asked += 1
        if self.away:
            raise ArtifactsUnavailable("the artifact store does not answer")


class ArchivedPod(Pod):
    """A pod with its memory of sessions, and an archive from which they come back."""

    def __init__(self, store: RedisStore, name: str, copies: ArtifactStore) -> None:
        super().__init__(store, name)
        self.restored: list[str] = []
        self.sessions = RedisSessionStore(
            self.store,
            ttl_s=3600,
            idle_s=1800,
            cache=self.cache,
            count_loss=self.told.append,
            archive=Archive(
                copies, kept_s=90 * DAY_S, count=lambda outcome, _: self.restored.append(outcome)
            ),
        )

    def ids(self, *, after_version: int = 0, epoch: str = "") -> list[str]:
        view = self.sessions.load(
            SESSION, ANYBODY, after_version=after_version, limit=100, epoch=epoch
        )
        return [turn.turn_id for turn in view.turns]


class Attic:
    """The archive: its copies, and one who moves sessions there, at once where asked to."""

    def __init__(self, store: RedisStore, folder: Path) -> None:
        self.copies = Away(folder)
        self.store = store
        self.cold = RedisColdSessions(store)
        self.metrics = CoordinatorMetrics()

    def archiving(
        self,
        *,
        after_s: float = 1e-9,
        kept_s: float = 90 * DAY_S,
        clock: SystemClock | None = None,
        known: Callable[[], Collection[str]] = tuple,
    ) -> Archiving:
        return Archiving(
            self.cold,
            self.copies,
            leads=lambda: True,
            metrics=self.metrics.archive,
            clock=clock or SystemClock(),
            known=known,
            after_s=after_s,
            kept_s=kept_s,
        )

    def sweep(self) -> None:
        self.archiving().sweep()

    def names(self, key: SessionKey = SESSION) -> list[str]:
        return list(self.copies.list(session_copies_prefix(key.tenant, key.session_id)))

    def due(self) -> list[IdleEntry]:
        return list(self.cold.due(rested_s=0, limit=100))

    def metric(self, line: str) -> float:
        shown = self.metrics.exposition().decode().splitlines()
        return float(next(row.split()[-1] for row in shown if row.startswith(line + " ")))


def settled(pod: Pod, turn_id: str, *, session: SessionKey = SESSION) -> None:
    """Run a turn to its very end, after which its session is in the index of idle ones."""
    work = pod.turn(turn_id, session=session)
    pod.sessions.settle(work.lease.key)


def principal(subject: str) -> Principal:
    return Principal("default", subject, "customer")


Step = Callable[[], None]
