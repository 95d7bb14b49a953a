"""Looks into the copies of data keys, for processes that miss a key or the whole of a tenant's.

Law 1: no lock of a tenant's keys is held meanwhile: what can be sealed and opened does not wait for
    the artifact store.
Law 2: one caller of a tenant reads. What it found, or that it failed, counts for the others, and
    for a short time; so an artifact store that is away is not asked for each value.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

import structlog

from kotaemon_node.domain import sealing_limits as limits
from kotaemon_node.domain.data_keys import DataKeyTable
from kotaemon_node.domain.errors import StoreUnavailable, Unavailable
from kotaemon_node.ports.data_keys import CopiesOfDataKeys
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_FOUND_S: Final = 1.0  # a copy that was made meanwhile is found after this
_FAILED_S: Final = 3.0  # for so long after a failure nobody waits for the copies again


@dataclass(slots=True)
class _Look:
    """The last look for a tenant. Locked while somebody reads."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    until_s: float = float("-inf")
    table: DataKeyTable | None = None
    """None: it failed."""


class LooksIntoCopies:
    """Thread safe."""

    def __init__(self, copies: CopiesOfDataKeys, *, clock: Clock) -> None:
        self._copies = copies
        self._clock = clock
        self._lock = threading.Lock()
        self._looks: OrderedDict[str, _Look] = OrderedDict()

    def table(self, tenant: str) -> DataKeyTable:
        """Return what the copies have of a tenant; ``StoreUnavailable`` where nobody can tell."""
        with self._lock:
            look = self._looks.setdefault(tenant, _Look())
            self._looks.move_to_end(tenant)
            if len(self._looks) > limits.SEALING_TENANTS_MAX:
                self._looks.popitem(last=False)
        with look.lock:
            if self._clock.monotonic_s() >= look.until_s:
                self._read(tenant, look)
            if look.table is None:
                raise StoreUnavailable("the copies of data keys cannot be read now; ask again")
            return look.table

    def forget(self, tenant: str) -> None:
        """Look anew at the next call: some changed."""
        with self._lock:
            self._looks.pop(tenant, None)

    def _read(self, tenant: str, look: _Look) -> None:
        try:
            look.table, known_s = self._copies.read(tenant), _FOUND_S
        except (Unavailable, OSError) as error:
            _log.warning("copies_of_data_keys_unreadable", tenant=tenant, reason=str(error))
            look.table, known_s = None, _FAILED_S
        look.until_s = self._clock.monotonic_s() + known_s
