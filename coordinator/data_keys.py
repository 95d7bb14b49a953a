"""Looks after the data keys of tenants, where the cluster has a master key.

Law 1: only the coordinator that leads writes, so that the artifact store has one writer.
Law 2: a copy of a session is written to the archive only behind the keys that open it.
"""

import threading
from collections.abc import Callable
from typing import Final

import structlog

from kotaemon_node.adapters.sealing import KeyKeeper
from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.ports.audit import AuditLog, NoAuditLog

_log = structlog.get_logger(__name__)

_EVERY_S: Final = 10.0  # a store that is lost behind this has lost what its newest key sealed, too


class DataKeyCare:
    """``run`` blocks; it returns at once where nothing is sealed."""

    def __init__(
        self,
        keeper: KeyKeeper | None,
        *,
        age_s: float,
        leads: Callable[[], bool],
        told: Callable[[str], None],
        acts: AuditLog | None = None,
    ) -> None:
        """``age_s``: of the newest key of a tenant, which is then rotated; 0: never.

        ``told`` is called for a tenant whose keys changed; ``acts`` is the log of what was done.
        """
        self._acts = acts or NoAuditLog()
        self._keeper = keeper
        self._age_s = age_s
        self._leads = leads
        self._told = told
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look until ``stop`` is called."""
        while self._keeper is not None and not self._stopped.is_set():
            if self._leads():
                self.look(self._keeper)
            self._stopped.wait(_EVERY_S)

    def stop(self) -> None:
        """End ``run`` soon."""
        self._stopped.set()

    def look(self, keeper: KeyKeeper) -> None:
        """Bring both places to the same, and rotate what is old."""
        try:
            keeper.mirror()
            if self._age_s:
                keeper.rotate_older_than(self._age_s, told=self._rotated, begins=self._rotating)
        except (Unavailable, OSError) as error:
            _log.warning("data_keys_not_looked_after", reason=str(error))

    def _rotating(self, tenant: str) -> None:
        self._record("encryption.rotating", tenant)

    def _rotated(self, tenant: str, key_id: str) -> None:
        self._record("encryption.rotated", tenant, key_id)
        self._told(tenant)

    def _record(self, action: str, tenant: str, key_id: str = "") -> None:
        detail = {"because": f"older than {self._age_s:.0f} s"}
        self._acts.record(
            AuditEvent(action, "done", tenant, role="system", target=key_id, detail=detail)
        )

    def copied(self, tenant: str) -> None:
        """Return once every key that sealed anything until now has its copy.

        Raises ``Unavailable`` or ``OSError``.
        """
        if self._keeper is not None:
            self._keeper.mirror_of(tenant)
