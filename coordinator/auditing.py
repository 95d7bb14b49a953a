"""The coordinator's part in the audit log: what it records itself, and the leader's moving."""

import threading
from collections.abc import Callable

from coordinator.audit_metrics import LeaderAuditMetrics
from coordinator.audit_moving import AuditMoving
from coordinator.settings import CoordinatorSettings
from kotaemon_node.composition.audited import Audited, audited_of
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.audit import AuditLog
from kotaemon_node.ports.runtime import Clock, IdSource
from kotaemon_node.ports.signing import Signer, Verifier


class Auditing:
    """Runs both; nothing where the log is off."""

    def __init__(self, audited: Audited, moving: AuditMoving) -> None:
        self._audited = audited
        self._moving = moving

    @classmethod
    def of(
        cls,
        settings: CoordinatorSettings,
        artifacts: ArtifactStore,
        *,
        signer: Signer,
        verifier: Verifier,
        leads: Callable[[], bool],
        clock: Clock,
        ids: IdSource,
        counts: LeaderAuditMetrics,
    ) -> "Auditing":
        """Return it; connects when first used. Raises ``ValueError`` for keys of no use."""
        audited = audited_of(settings, clock=clock, ids=ids, counts=counts, program="coordinator")
        moving = AuditMoving(
            audited.store,
            artifacts,
            signer=signer,
            verifier=verifier,
            log=audited.log,
            leads=leads,
            clock=clock,
            counts=counts,
            kept_s=settings.audit_kept_s,
        )
        return cls(audited, moving)

    @property
    def log(self) -> AuditLog:
        """Where the coordinator's own work records what it does."""
        return self._audited.log

    def run(self) -> None:
        """Work until ``stop``; what waits then is still written."""
        writer = self._audited.writer
        if writer is None:
            return
        moving = threading.Thread(target=self._moving.run, name="audit moving", daemon=True)
        moving.start()
        writer.run()
        moving.join()

    def stop(self) -> None:
        """Make ``run`` return."""
        self._moving.stop()
        if self._audited.writer is not None:
            self._audited.writer.stop()
