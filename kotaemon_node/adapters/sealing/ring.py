"""The data keys that this process has open: made, found, looked for again and forgotten.

Law 1: a key is in the store that all pods share before anything is sealed with it. So a pod that
    meets an id which it does not know looks once more, and then knows or it is gone.
Law 2: what was destroyed on purpose is remembered as destroyed, in both places. What is missing and
    was not destroyed was lost by the store, and whoever still has it gives it back.
Law 3: the copies, which may be slow or away, are looked at outside of the tenant's lock
    (``looking``): nobody who has the key waits for them.
Law 4: while the store is away, what is known counts; a destroyed key opens nothing any more after
    ``DATA_KEYS_KNOWN_S``, or as soon as ``look_again`` was called.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from kotaemon_node.adapters.sealing.data_key import DataKey, new_data_key, opened_data_key
from kotaemon_node.adapters.sealing.looking import LooksIntoCopies
from kotaemon_node.domain import sealing_limits as limits
from kotaemon_node.domain.data_keys import DataKeyRow, DataKeyTable
from kotaemon_node.domain.errors import (
    MasterKeyMissing,
    NodeError,
    Sealed,
    StoreUnavailable,
    Unavailable,
)
from kotaemon_node.ports.data_keys import CopiesOfDataKeys, DataKeys, MasterKeys
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_TRIES_MAX: Final = 8  # others make a key in the same moment; each then finds theirs
_FAILED_S: Final = 0.5  # for so long after a failure nobody waits for the store again


@dataclass(slots=True)
class _Tenant:
    """What is known of a tenant's keys. Locked while the store is asked."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    table: DataKeyTable | None = None
    read_s: float = 0.0
    failed_s: float | None = None
    open: dict[str, DataKey] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)
    """Ids that were found nowhere, and until when nobody looks for them again."""
    lost: list[DataKeyRow] = field(default_factory=list)
    """What the store was found to have lost, and is open here."""
    first: DataKey | None = None
    """What ``newest`` found in the table."""


class DataKeyRing:
    """Keys by tenant and id. Thread safe; one caller asks the store, others of the tenant wait."""

    def __init__(
        self,
        keys: DataKeys,
        masters: MasterKeys,
        *,
        copies: CopiesOfDataKeys | None,
        clock: Clock,
        begins: bool = True,
    ) -> None:
        """``copies``: where keys are looked for that the store has lost.

        Without ``begins`` no tenant's first key is made here.
        """
        self._keys = keys
        self._masters = masters
        self._looks = LooksIntoCopies(copies, clock=clock) if copies else None
        self._begins = begins
        self._clock = clock
        self._lock = threading.Lock()
        self._tenants: OrderedDict[str, _Tenant] = OrderedDict()
        self.dropped: Callable[[DataKey], None] = lambda _: None
        """Is told of each key that this process forgets."""

    def newest(self, tenant: str) -> DataKey:
        """Return the key that seals, made now where there is none; ``StoreUnavailable``."""
        known = self._of_tenant(tenant)
        for _ in range(_TRIES_MAX):
            self._settle(tenant, known)
            with known.lock:
                table = self._looked(tenant, known)
                if table.rows:
                    return self._first_open(known, table)
            self._begin(tenant, known, table)
        raise StoreUnavailable("the keys of the tenant change all the time; try again")

    def of(self, tenant: str, key_id: str) -> DataKey:
        """Return the key of an id; raises ``Sealed``, and ``Unavailable`` where nobody can tell."""
        known = self._of_tenant(tenant)
        self._settle(tenant, known)
        with known.lock:
            row = self._here(tenant, known, key_id)
            if row is not None:
                return self._opened(known, row)
        row = self._copied(tenant, key_id)
        with known.lock:
            if row is not None:
                _replace_row(known, row)
                return self._opened(known, row)
            _log.error("data_key_gone", tenant=tenant, key=key_id)
            if len(known.gone) >= limits.DATA_KEYS_GONE_MAX:
                known.gone.clear()
            known.gone[key_id] = self._clock.monotonic_s() + limits.DATA_KEYS_KNOWN_S
        raise _destroyed(tenant, key_id)

    def look_again(self, tenant: str) -> None:
        """Read the keys of the tenant before any is used again: some changed."""
        with self._lock:
            known = self._tenants.get(tenant)
        if known is not None:
            known.read_s, known.failed_s = float("-inf"), None
        if self._looks is not None:
            self._looks.forget(tenant)

    def _begin(self, tenant: str, known: _Tenant, table: DataKeyTable) -> None:
        """Give the tenant's keys back to a store that lost all of them, or make the first one.

        Raises ``StoreUnavailable`` where nobody can tell which it is: another first key would have
        another secret of digests.
        """
        if not self._begins:
            raise StoreUnavailable(
                f"tenant {tenant} has no data key yet; a pod makes one for its first message"
            )
        copies = self._looks.table(tenant) if self._looks else DataKeyTable()
        self._keys.destroy(tenant, copies.destroyed - table.destroyed)
        if back := [row for key_id, row in copies.rows.items() if key_id not in table.destroyed]:
            for row in back:
                self._keys.put_back(row)
            _log.warning("data_keys_given_back", tenant=tenant, keys=[row.id for row in back])
        else:
            made = new_data_key(self._masters, tenant, table, now_s=self._clock.now_s())
            if self._keys.add(made.row, newest=table.newest):
                _log.info("data_key_made", tenant=tenant, key=made.row.id)
                with known.lock:
                    known.open[made.row.id] = made
        with known.lock:
            known.table = None

    def _of_tenant(self, tenant: str) -> _Tenant:
        left = None
        with self._lock:
            known = self._tenants.get(tenant)
            if known is None:
                known = self._tenants[tenant] = _Tenant(read_s=float("-inf"))
            self._tenants.move_to_end(tenant)
            if len(self._tenants) > limits.SEALING_TENANTS_MAX:
                _, left = self._tenants.popitem(last=False)
        if left is not None:
            with left.lock:
                for key in left.open.values():
                    self.dropped(key)
        return known

    def _looked(self, tenant: str, known: _Tenant) -> DataKeyTable:
        """Return the tenant's table, read again when it is old."""
        now_s = self._clock.monotonic_s()
        table = known.table
        if table is not None and now_s - known.read_s < limits.DATA_KEYS_KNOWN_S:
            return table
        failed = known.failed_s is not None and now_s - known.failed_s < _FAILED_S
        if table is not None and failed:
            return table
        try:
            return self._read(tenant, known)
        except StoreUnavailable:
            known.failed_s = self._clock.monotonic_s()
            if table is None:
                raise
            return table

    def _read(self, tenant: str, known: _Tenant) -> DataKeyTable:
        now_s = self._clock.monotonic_s()  # before: what comes meanwhile is not missed
        table = self._keys.read(tenant)
        known.lost, known.first = [], None
        rows = dict(table.rows)
        for key_id, key in list(known.open.items()):
            if key_id in rows:
                # Under another master key it is the same key, and is to be given back as that.
                key.row = rows[key_id]
            elif key_id not in table.destroyed:
                rows[key_id] = key.row
                known.lost.append(key.row)
            else:
                self.dropped(known.open.pop(key_id))
        known.table = DataKeyTable(rows, table.destroyed, table.newest)
        known.read_s, known.failed_s = now_s, None
        return known.table

    def _settle(self, tenant: str, known: _Tenant) -> None:
        """Look at the tenant's keys, and give those back that the store has lost."""
        with known.lock:
            self._looked(tenant, known)
            lost, known.lost = known.lost, []
        for row in lost:
            try:
                self._give_back(known, row)
            except (Unavailable, OSError) as error:
                _log.warning("data_key_not_given_back", key=row.id, reason=str(error))

    def _give_back(self, known: _Tenant, row: DataKeyRow) -> None:
        """Give a key back, or forget it where it was destroyed after all."""
        if self._looks and row.id in self._looks.table(row.tenant).destroyed:
            with known.lock:
                self._forget(known, row.id)
            self._keys.destroy(row.tenant, [row.id])
            return
        # What is replied does not matter: another may have given it back in this moment.
        self._keys.put_back(row)
        _log.warning("data_key_given_back", tenant=row.tenant, key=row.id)

    def _forget(self, known: _Tenant, key_id: str) -> None:
        key = known.open.pop(key_id, None)
        if key is not None:
            self.dropped(key)
        if (table := known.table) is not None:
            rows = {name: row for name, row in table.rows.items() if name != key_id}
            known.table = replace(table, rows=rows, destroyed=table.destroyed | {key_id})
        known.first = None

    def _here(self, tenant: str, known: _Tenant, key_id: str) -> DataKeyRow | None:
        """Return the row of the shared store, looked for twice; ``Sealed`` where it is no more."""
        table = self._looked(tenant, known)
        gone = known.gone.get(key_id, float("-inf")) > self._clock.monotonic_s()
        if key_id not in table.rows and key_id not in table.destroyed and not gone:
            table = self._read(tenant, known)
        if key_id in table.destroyed or (gone and key_id not in table.rows):
            raise _destroyed(tenant, key_id)
        return table.rows.get(key_id)

    def _copied(self, tenant: str, key_id: str) -> DataKeyRow | None:
        """Return a key that only the copies have; None where it is nowhere."""
        if self._looks is None:
            raise StoreUnavailable(
                f"the data key {key_id} of tenant {tenant} is not in the session store, and copies"
                " cannot be looked at from here; pods look for it"
            )
        table = self._looks.table(tenant)
        if key_id in table.destroyed:
            self._keys.destroy(tenant, [key_id])
            return None
        row = table.rows.get(key_id)
        if row is not None:
            self._keys.put_back(row)
            _log.warning("data_key_found_in_copies", tenant=tenant, key=key_id)
        return row

    def _first_open(self, known: _Tenant, table: DataKeyTable) -> DataKey:
        """Return the newest key whose master key is known here: an older one seals as well."""
        if known.first is not None:
            return known.first  # almost always, and once for each frame: nothing is sorted for it
        problem: NodeError | None = None
        for row in table.by_age():
            try:
                known.first = self._opened(known, row)
            except (MasterKeyMissing, Sealed) as error:
                problem = problem or error
            else:
                return known.first
        raise StoreUnavailable(f"nothing can be sealed: {problem}")

    def _opened(self, known: _Tenant, row: DataKeyRow) -> DataKey:
        key = known.open.get(row.id)
        if key is None:
            key = known.open[row.id] = opened_data_key(self._masters, row)
        return key


def _replace_row(known: _Tenant, row: DataKeyRow) -> None:
    if known.table is not None:
        known.table = replace(known.table, rows={**known.table.rows, row.id: row})


def _destroyed(tenant: str, key_id: str) -> Sealed:
    return Sealed(f"the data key {key_id} of tenant {tenant} was destroyed")
