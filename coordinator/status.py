"""What the coordinator says of itself, for health checks and metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.domain.lineage import mean_recall, refused_of, rolled_back_to

Role = Literal["starting", "leader", "standby", "build-worker"]


@dataclass(frozen=True, slots=True)
class KnowledgeStatus:
    """One knowledge base as the leader keeps it."""

    generation: int
    indexed: int
    failed: int
    waiting: int
    passages: int
    segments: int
    recall: float | None = None
    """On the probe set, when it passed the gate."""
    rolled_back_to: int | None = None
    refused: int = 0
    """Files that are not followed since a rollback."""
    held: HeldBuild | None = None
    """What the gate keeps out."""


@dataclass(frozen=True, slots=True)
class Status:
    """The coordinator at one moment."""

    role: Role = "starting"
    up_to_date: bool = False
    """True once everything that the folder held at the start of the lead has been published."""
    problem: str | None = "starting"
    """What keeps it from working, for people."""
    knowledge: Mapping[str, KnowledgeStatus] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    """Path to why it belongs to no knowledge base."""

    @property
    def ready(self) -> bool:
        """True when the cluster need not wait for this process."""
        return self.role in ("standby", "build-worker") or (
            self.role == "leader" and self.up_to_date
        )


class StatusBoard:
    """Holds the current status; written by one thread, read by others."""

    def __init__(self) -> None:
        self.current = Status()
        self.tenants: Mapping[str, StatusBoard] = {}
        """Those of all tenants but ``default``; readiness does not depend on them."""
        self._beat_s = 0.0

    @property
    def beat_s(self) -> float:
        """Monotonic time of the work loop's last sign of life."""
        return self._beat_s

    @beat_s.setter
    def beat_s(self, now_s: float) -> None:
        self._beat_s = now_s


class TenantBoard(StatusBoard):
    """The status of one tenant; its signs of life are those of the one work loop."""

    def __init__(self, whole: StatusBoard) -> None:
        super().__init__()
        self._whole = whole

    @property
    def beat_s(self) -> float:
        return self._whole.beat_s

    @beat_s.setter
    def beat_s(self, now_s: float) -> None:
        self._whole.beat_s = now_s


def summary(manifest: Manifest, *, waiting: int, held: HeldBuild | None) -> KnowledgeStatus:
    """Return what is shown of a knowledge base whose newest generation is ``manifest``."""
    states = [entry.status for entry in manifest.documents]
    return KnowledgeStatus(
        generation=manifest.generation,
        indexed=states.count("indexed"),
        failed=states.count("failed"),
        waiting=waiting,
        passages=sum(entry.passages for entry in manifest.documents),
        segments=len(manifest.segments),
        recall=mean_recall(manifest),
        rolled_back_to=rolled_back_to(manifest),
        refused=len(refused_of(manifest)),
        held=held,
    )
