"""Looks after data keys: copies them to a second place, rotates, rewraps and destroys them.

Law 1: a destroyed key is noted as destroyed in the copies first: a crash in between, or a store
    that is set back, brings none back.
Law 2: of two rows of one key, that one counts which was wrapped anew more often: no place that was
    set back, and nobody without master keys, brings a retired master key in again.
Law 3: a backup, to which others may write, neither destroys nor replaces a key that lives here;
    only a row that opens takes the place of another.
Law 4: every step may be repeated, by several at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from kotaemon_node.adapters.sealing.data_key import DataKey, new_data_key, opened_data_key
from kotaemon_node.domain.data_keys import DataKeyRow, DataKeyTable
from kotaemon_node.domain.errors import Overloaded, Sealed, Unavailable
from kotaemon_node.domain.sealing_limits import DATA_KEYS_MAX
from kotaemon_node.ports.data_keys import CopiesOfDataKeys, DataKeys, MasterKeys
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_TRIES_MAX = 8
_AGED_S = 3600.0  # ages are of days
_EVERYWHERE_S = 3600.0  # so often copies are compared also where the store shows no change


@dataclass(frozen=True, slots=True)
class Taken:
    """What came out of a backup."""

    count: int
    """Keys that were put back."""
    spared: Sequence[str]
    """Ids of keys that the backup says were destroyed, and that live here: they go on."""


@dataclass(slots=True)
class Rewrapped:
    """What became of the data keys under a new master key."""

    done: int = 0
    there: int = 0
    """Were wrapped by it already."""
    failed: dict[str, str] = field(default_factory=dict)
    """``tenant/key`` to the reason."""


class KeyKeeper:
    """One of them per process that keeps keys: the coordinator, and the command line."""

    def __init__(
        self, keys: DataKeys, copies: CopiesOfDataKeys, masters: MasterKeys, *, clock: Clock
    ) -> None:
        self._keys = keys
        self._copies = copies
        self._masters = masters
        self._clock = clock
        self._mirrored: dict[str, DataKeyTable] = {}
        self._everywhere_s = float("-inf")
        self._aged_s = float("-inf")

    def tables(self) -> Mapping[str, DataKeyTable]:
        """Return what is known of the keys of each tenant, of both places together."""
        return {tenant: self._joined(tenant) for tenant in self._tenants()}

    def mirror(self) -> int:
        """Bring both places to the same; return how many tenants something was done for.

        One that it fails for is told, and holds up no other.
        """
        now_s = self._clock.monotonic_s()
        if now_s - self._everywhere_s >= _EVERYWHERE_S:
            self._mirrored.clear()
            self._everywhere_s = now_s
        tenants = self._tenants() if not self._mirrored else self._keys.tenants()
        return sum(_alone(self.mirror_of, tenant) for tenant in tenants)

    def mirror_of(self, tenant: str) -> bool:
        """Do so for one tenant, and return whether anything was done.

        When it returns, every key that has sealed anything until now has its copy.
        """
        here = self._keys.read(tenant)
        if self._mirrored.get(tenant) == here:
            return False
        there = self._copies.read(tenant)
        if gone := (here.destroyed - there.destroyed) | there.left:
            self._copies.destroy(tenant, gone)
        if gone := there.destroyed - here.destroyed:
            self._keys.destroy(tenant, gone)
        destroyed = here.destroyed | there.destroyed
        for key_id in sorted({*here.rows, *there.rows} - destroyed):
            self._settle(here.rows.get(key_id), there.rows.get(key_id))
        self._mirrored[tenant] = self._keys.read(tenant)
        return True

    def rotate(self, tenant: str) -> DataKeyRow:
        """Make the tenant's next key, which seals from here on; old ones still open.

        Raises ``Overloaded`` at ``DATA_KEYS_MAX``, ``Sealed`` where none can be opened.
        """
        # A store that lost the tenant's keys gets them back first: digests go on from key to key.
        self.mirror_of(tenant)
        for _ in range(_TRIES_MAX):
            table = self._keys.read(tenant)
            if len(table.rows) >= DATA_KEYS_MAX:
                raise Overloaded(
                    f"tenant {tenant} has {DATA_KEYS_MAX} data keys; destroy those that nothing"
                    " is sealed with any more"
                )
            before = self._newest(table)
            made = new_data_key(
                self._masters, tenant, table, now_s=self._clock.now_s(), before=before
            )
            if self._keys.add(made.row, newest=table.newest):
                _log.info("data_key_rotated", tenant=tenant, key=made.row.id)
                self.mirror_of(tenant)
                return made.row
        raise Unavailable("the keys of the tenant change all the time; try again")

    def rotate_older_than(
        self,
        age_s: float,
        *,
        told: Callable[[str, str], None],
        begins: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Rotate the tenants whose newest key is older; looks once an hour.

        ``begins`` is told of each tenant before, ``told`` of it and its new key's id behind.
        """
        now_s = self._clock.monotonic_s()
        if now_s - self._aged_s < _AGED_S:
            return
        self._aged_s = now_s
        for tenant in self._keys.tenants():
            rows = self._keys.read(tenant).by_age()
            if rows and rows[0].made_ms / 1000 + age_s <= self._clock.now_s():
                begins(tenant)
                try:
                    made = self.rotate(tenant)
                except (Overloaded, Sealed, Unavailable, OSError) as error:
                    _log.error("data_key_not_rotated", tenant=tenant, reason=str(error))
                else:
                    told(tenant, made.id)

    def rewrap(self, more: Sequence[CopiesOfDataKeys] = ()) -> Rewrapped:
        """Wrap every data key by the first master key, in both places and in ``more``.

        Of ``more`` each gets what is known here of the tenants that it has; keys that it has alone
        are wrapped as well.
        """
        done = Rewrapped()
        self._mirrored.clear()
        for tenant in self._tenants():
            self.mirror_of(tenant)
            for row in self._keys.read(tenant).rows.values():
                self._rewrap(row, partial(self._keys.rewrap, row), done)
            self.mirror_of(tenant)
        for copies in more:
            for tenant in copies.tenants():
                self.copy_to(copies, tenant)
                known = self._joined(tenant).rows
                for row in copies.read(tenant).rows.values():
                    if row != known.get(row.id):
                        self._rewrap(row, partial(_kept, copies), done)
        return done

    def destroy(self, tenant: str, ids: Sequence[str]) -> None:
        """Destroy keys for ever; what they sealed opens nowhere any more, once pods forgot them."""
        self._copies.destroy(tenant, ids)
        self._keys.destroy(tenant, ids)
        _log.warning("data_keys_destroyed", tenant=tenant, keys=list(ids))

    def copy_to(self, copies: CopiesOfDataKeys, tenant: str) -> None:
        """Bring a third place, as a backup's, to what is known here."""
        table = self._joined(tenant)
        there = copies.read(tenant)
        if gone := (table.destroyed - there.destroyed) | there.left:
            copies.destroy(tenant, gone)
        for key_id, row in table.rows.items():
            if there.rows.get(key_id) != row and key_id not in there.destroyed:
                copies.keep(row)

    def take_from(self, copies: CopiesOfDataKeys, tenant: str) -> Taken:
        """Put keys of the tenant back that a third place has and this one lacks."""
        self._mirrored.pop(tenant, None)
        self.mirror_of(tenant)
        here, there = self._keys.read(tenant), copies.read(tenant)
        spared = sorted(there.destroyed & here.rows.keys())
        if gone := there.destroyed - here.destroyed - here.rows.keys():
            self.destroy(tenant, sorted(gone))
        count = 0
        for key_id in there.rows.keys() - here.destroyed:
            row, lives = there.rows[key_id], here.rows.get(key_id)
            if lives is None:
                count += self._keys.put_back(row)
            elif row.wrapping > lives.wrapping and self._opens(row):
                count += self._keys.rewrap(lives, row)
        self.mirror_of(tenant)
        return Taken(count, spared)

    def _settle(self, here: DataKeyRow | None, there: DataKeyRow | None) -> None:
        if here is None and there is not None:
            self._keys.put_back(there)
            _log.warning("data_key_given_back", tenant=there.tenant, key=there.id)
        elif here is not None and there is None:
            self._copies.keep(here)
        elif here is not None and there is not None and here != there:
            if there.wrapping >= here.wrapping:
                self._keys.rewrap(here, there)
            else:
                self._copies.keep(here)

    def _opens(self, row: DataKeyRow) -> bool:
        try:
            opened_data_key(self._masters, row)
        except Sealed:
            return False
        return True

    def _rewrap(self, row: DataKeyRow, keep: Callable[[DataKeyRow], bool], done: Rewrapped) -> None:
        if row.master == next(iter(self._masters.ids()), ""):
            done.there += 1
            return
        try:
            key = opened_data_key(self._masters, row)
        except Sealed as error:
            done.failed[f"{row.tenant}/{row.id}"] = str(error)
            return
        again = replace(row, wraps=row.wraps + 1)
        if keep(self._masters.wrap(key.secret + key.digests, again)):
            done.done += 1
        else:
            done.there += 1  # another did so, or it was destroyed

    def _newest(self, table: DataKeyTable) -> DataKey | None:
        """Return the newest key that opens; ``Sealed`` where none does, None where there is none.

        All of a tenant hold the same secret of digests.
        """
        problem: Sealed | None = None
        for row in table.by_age():
            try:
                return opened_data_key(self._masters, row)
            except Sealed as error:
                problem = problem or error
        if problem is not None:
            raise problem
        return None

    def _joined(self, tenant: str) -> DataKeyTable:
        here, there = self._keys.read(tenant), self._copies.read(tenant)
        destroyed = here.destroyed | there.destroyed
        rows = dict(there.rows)
        for key_id, row in here.rows.items():
            if key_id not in rows or row.wrapping > rows[key_id].wrapping:
                rows[key_id] = row
        return DataKeyTable(
            {key_id: row for key_id, row in rows.items() if key_id not in destroyed},
            destroyed,
            here.newest,
        )

    def _tenants(self) -> Sequence[str]:
        return sorted({*self._keys.tenants(), *self._copies.tenants()})


def _kept(copies: CopiesOfDataKeys, row: DataKeyRow) -> bool:
    copies.keep(row)
    return True


def _alone(mirror_of: Callable[[str], bool], tenant: str) -> bool:
    try:
        return mirror_of(tenant)
    except (Unavailable, OSError) as error:
        _log.warning("data_keys_not_looked_after", tenant=tenant, reason=str(error))
        return False
