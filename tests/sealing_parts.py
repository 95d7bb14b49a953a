"""A store of data keys in memory, files of master keys, and processes that share them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from kotaemon_node.adapters.sealing import DataKeyRing, MasterKeyLines, SealingCipher
from kotaemon_node.adapters.system.secret_file import FixedLines
from kotaemon_node.domain.data_keys import DataKeyRow, DataKeyTable
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.ports.data_keys import CopiesOfDataKeys
from tests.fakes.knowledge_ports import HandClock

MASTER = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
OTHER_MASTER = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeffe0e1e2e3e4e5e6e7e8e9eaebecedeeef"


class KeysInMemory:
    """``ports.data_keys.DataKeys``; ``away`` makes it answer nothing."""

    def __init__(self) -> None:
        self.tables: dict[str, DataKeyTable] = {}
        self.away = False
        self.reads = 0

    def read(self, tenant: str) -> DataKeyTable:
        self._require()
        self.reads += 1
        return self.tables.get(tenant, DataKeyTable())

    def add(self, row: DataKeyRow, *, newest: str) -> bool:
        table = self._require().tables.get(row.tenant, DataKeyTable())
        if row.id in table.rows or row.id in table.destroyed or table.newest != newest:
            return False
        self.tables[row.tenant] = replace(table, rows={**table.rows, row.id: row}, newest=row.id)
        return True

    def put_back(self, row: DataKeyRow) -> bool:
        table = self._require().tables.get(row.tenant, DataKeyTable())
        if row.id in table.rows or row.id in table.destroyed:
            return False
        known = table.rows.get(table.newest)
        newest = table.newest if known and known.made_ms >= row.made_ms else row.id
        self.tables[row.tenant] = replace(table, rows={**table.rows, row.id: row}, newest=newest)
        return True

    def rewrap(self, old: DataKeyRow, new: DataKeyRow) -> bool:
        table = self._require().tables.get(old.tenant, DataKeyTable())
        if table.rows.get(old.id) != old:
            return False
        self.tables[old.tenant] = replace(table, rows={**table.rows, new.id: new})
        return True

    def destroy(self, tenant: str, ids: Collection[str]) -> None:
        table = self._require().tables.get(tenant, DataKeyTable())
        rows = {key_id: row for key_id, row in table.rows.items() if key_id not in ids}
        self.tables[tenant] = replace(table, rows=rows, destroyed=table.destroyed | set(ids))

    def tenants(self) -> Sequence[str]:
        return sorted(self._require().tables)

    def _require(self) -> "KeysInMemory":
        if self.away:
            raise StoreUnavailable("the session store does not answer")
        return self


class NoCopies:
    """``ports.data_keys.CopiesOfDataKeys`` that has none, and is only read."""

    def read(self, tenant: str) -> DataKeyTable:
        del tenant
        return DataKeyTable()

    def keep(self, row: DataKeyRow) -> None:
        raise NotImplementedError

    def destroy(self, tenant: str, ids: Collection[str]) -> None:
        raise NotImplementedError

    def tenants(self) -> Sequence[str]:
        return []


@dataclass
class ClusterOfKeys:
    """What processes share."""

    keys: KeysInMemory = field(default_factory=KeysInMemory)
    clock: HandClock = field(default_factory=HandClock)
    copies: CopiesOfDataKeys | None = None

    def ring(self, *masters: str) -> DataKeyRing:
        lines = MasterKeyLines(FixedLines(masters or (MASTER,)))
        return DataKeyRing(self.keys, lines, copies=self.copies, clock=self.clock)

    def cipher(
        self,
        *masters: str,
        ring: DataKeyRing | None = None,
        strict: bool = False,
        count: Callable[[str], None] = lambda _: None,
    ) -> SealingCipher:
        """Return the cipher of one more process."""
        return SealingCipher(ring or self.ring(*masters), strict=strict, count=count)


def cluster_of_keys() -> ClusterOfKeys:
    return ClusterOfKeys(copies=NoCopies())
