"""The data keys that this process has open: made, found, looked for again and forgotten.

Law 1: a key is in the store that all pods share before anything is sealed with it. So a pod that
    meets an id which it does not know looks once more, and then knows or it is gone.
Law 2: what was destroyed on purpose is remembered as destroyed, in both places. What is missing and
    was not destroyed was lost by the store, and whoever still has it gives it back.
Law 3: while the store is away, what is known counts; a destroyed key opens nothing any more after
    ``DATA_KEYS_KNOWN_S``, or as soon as ``look_again`` was called.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from kotaemon_node.domain import sealing_limits as limits
from kotaemon_node.domain.data_keys import KEY_ID_BYTES, DataKeyRow, DataKeyTable
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

_SECRET_BYTES: Final = 32
_TRIES_MAX: Final = 8  # others make a key in the same moment; each then finds theirs
_FAILED_S: Final = 0.5  # for so long after a failure nobody waits for the store again


@dataclass(slots=True, eq=False)
class DataKey:
    """A key in the clear: in memory and nowhere else."""

    row: DataKeyRow
    secret: bytes = field(repr=False)
    digests: bytes = field(repr=False)
    """Secret of the tenant's digests: handed from key to key, so that rotating changes none."""

    @property
    def raw_id(self) -> bytes:
        """Its id as values hold it."""
        return bytes.fromhex(self.row.id)


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


class DataKeyRing:
    """Keys by tenant and id. Thread safe; one caller asks the store, others of the tenant wait."""

    def __init__(
        self, keys: DataKeys, masters: MasterKeys, *, copies: CopiesOfDataKeys | None, clock: Clock
    ) -> None:
        """``copies``: where keys are looked for that the store has lost."""
        self._keys = keys
        self._masters = masters
        self._copies = copies
        self._clock = clock
        self._lock = threading.Lock()
        self._tenants: OrderedDict[str, _Tenant] = OrderedDict()
        self.dropped: Callable[[DataKey], None] = lambda _: None
        """Is told of each key that this process forgets."""

    def newest(self, tenant: str) -> DataKey:
        """Return the key that seals, made now where there is none; ``StoreUnavailable``."""
        known = self._of_tenant(tenant)
        with known.lock:
            for _ in range(_TRIES_MAX):
                table = self._looked(tenant, known)
                if table.rows:
                    return self._first_open(known, table)
                self._begin(tenant, known, table)
                known.table = None
        raise StoreUnavailable("the keys of the tenant change all the time; try again")

    def of(self, tenant: str, key_id: str) -> DataKey:
        """Return the key of an id; raises ``Sealed``, and ``Unavailable`` where nobody can tell."""
        known = self._of_tenant(tenant)
        with known.lock:
            table = self._looked(tenant, known)
            row = table.rows.get(key_id)
            if row is None and key_id not in table.destroyed:
                row = self._found(tenant, known, key_id)
            if row is None:
                raise Sealed(f"the data key {key_id} of tenant {tenant} was destroyed")
            return self._opened(known, row)

    def look_again(self, tenant: str) -> None:
        """Read the keys of the tenant before any is used again: some changed."""
        with self._lock:
            known = self._tenants.get(tenant)
        if known is not None:
            known.read_s, known.failed_s = float("-inf"), None

    def _begin(self, tenant: str, known: _Tenant, table: DataKeyTable) -> None:
        """Give the tenant's keys back to a store that lost all of them, or make the first one."""
        copies = self._copies_of(tenant)
        self._keys.destroy(tenant, copies.destroyed - table.destroyed)
        if any([self._keys.put_back(row) for row in copies.rows.values()]):
            _log.warning("data_keys_given_back", tenant=tenant, keys=list(copies.rows))
            return
        made = new_data_key(self._masters, tenant, table, now_s=self._clock.now_s())
        if self._keys.add(made.row, newest=table.newest):
            _log.info("data_key_made", tenant=tenant, key=made.row.id)
            known.open[made.row.id] = made

    def _copies_of(self, tenant: str) -> DataKeyTable:
        try:
            return self._copies.read(tenant) if self._copies else DataKeyTable()
        except (Unavailable, OSError) as error:
            # A new key opens as well as the old ones, which are found later.
            _log.warning("copies_of_data_keys_unreadable", tenant=tenant, reason=str(error))
            return DataKeyTable()

    def _of_tenant(self, tenant: str) -> _Tenant:
        with self._lock:
            known = self._tenants.get(tenant)
            if known is None:
                known = self._tenants[tenant] = _Tenant(read_s=float("-inf"))
            self._tenants.move_to_end(tenant)
            if len(self._tenants) > limits.SEALING_TENANTS_MAX:
                _, left = self._tenants.popitem(last=False)
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
        rows = dict(table.rows)
        for key_id, key in list(known.open.items()):
            if key_id in rows:
                # Under another master key it is the same key, and is to be given back as that.
                key.row = rows[key_id]
            elif key_id not in table.destroyed and self._given_back(key.row):
                rows[key_id] = key.row
            else:
                self.dropped(known.open.pop(key_id))
        known.table = DataKeyTable(rows, table.destroyed, table.newest)
        known.read_s, known.failed_s = now_s, None
        return known.table

    def _given_back(self, row: DataKeyRow) -> bool:
        """Give a key back that the store has lost; False where it was destroyed after all."""
        try:
            if self._copies and row.id in self._copies.read(row.tenant).destroyed:
                self._keys.destroy(row.tenant, [row.id])
                return False
            # What is replied does not matter: another may have given it back in this moment.
            self._keys.put_back(row)
        except (Unavailable, OSError) as error:
            _log.warning("data_key_not_given_back", key=row.id, reason=str(error))
        else:
            _log.warning("data_key_given_back", tenant=row.tenant, key=row.id)
        return True

    def _found(self, tenant: str, known: _Tenant, key_id: str) -> DataKeyRow | None:
        """Look for a key that is not in the table; None where it is nowhere."""
        now_s = self._clock.monotonic_s()
        if known.gone.get(key_id, now_s) > now_s:
            return None
        row = self._read(tenant, known).rows.get(key_id)
        if row is None and self._copies is not None:
            row = self._copied(self._copies, tenant, key_id)
        if row is None:
            _log.error("data_key_gone", tenant=tenant, key=key_id)
            if len(known.gone) >= limits.DATA_KEYS_GONE_MAX:
                known.gone.clear()
            known.gone[key_id] = now_s + limits.DATA_KEYS_KNOWN_S
        elif known.table is not None:
            rows = {**known.table.rows, key_id: row}
            known.table = DataKeyTable(rows, known.table.destroyed, known.table.newest)
        return row

    def _copied(self, copies: CopiesOfDataKeys, tenant: str, key_id: str) -> DataKeyRow | None:
        try:
            table = copies.read(tenant)
        except OSError as error:
            raise Unavailable("the copies of data keys cannot be read now; ask again") from error
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
        newest = known.open.get(table.newest)
        if newest is not None and table.newest in table.rows:
            return newest  # almost always, and once for each frame: nothing is sorted for it
        problem: NodeError | None = None
        for row in table.by_age():
            try:
                return self._opened(known, row)
            except (MasterKeyMissing, Sealed) as error:
                problem = problem or error
        raise StoreUnavailable(f"nothing can be sealed: {problem}")

    def _opened(self, known: _Tenant, row: DataKeyRow) -> DataKey:
        key = known.open.get(row.id)
        if key is None:
            key = known.open[row.id] = opened_data_key(self._masters, row)
        return key


def new_data_key(
    masters: MasterKeys,
    tenant: str,
    table: DataKeyTable,
    *,
    now_s: float,
    before: DataKey | None = None,
) -> DataKey:
    """Return a fresh key, newer than those of ``table``, wrapped and kept nowhere yet.

    ``before``: the one that it follows. Raises ``Unavailable`` where no master key wraps it.
    """
    # Clocks differ: the one that is made last is the newest all the same.
    made_ms = max([int(now_s * 1000), *(row.made_ms + 1 for row in table.rows.values())])
    row = DataKeyRow(secrets.token_hex(KEY_ID_BYTES), tenant, made_ms, master="", wrapped="")
    secret = secrets.token_bytes(_SECRET_BYTES)
    digests = before.digests if before else secrets.token_bytes(_SECRET_BYTES)
    return DataKey(masters.wrap(secret + digests, row), secret, digests)


def opened_data_key(masters: MasterKeys, row: DataKeyRow) -> DataKey:
    """Return the key of a row; raises ``Sealed``."""
    both = masters.unwrap(row)
    if len(both) != 2 * _SECRET_BYTES:
        raise Sealed(f"what is kept of the data key {row.id} was altered", reason="altered")
    return DataKey(row, both[:_SECRET_BYTES], both[_SECRET_BYTES:])
