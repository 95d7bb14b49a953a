"""Wrapped data keys in the artifact store, beside the archive that they open.

``ports.data_keys.CopiesOfDataKeys``. A name never changes its content there, so a key under another
master key has another name; where several are left, the one that was wrapped anew most often counts
(``DataKeyRow.wrapping``), and no other ever removes it. A destroyed key leaves an empty file, made
before its rows are removed.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import structlog

from kotaemon_node.domain.data_keys import DataKeyRow, DataKeyTable
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.artifacts import ArtifactStore

_log = structlog.get_logger(__name__)

TENANTS_OF_KEYS: Final = "sealing/tenants/"
"""Below it is a name for each tenant that a place has keys of."""


class CopiesInArtifacts:
    """See above. Whoever only reads the artifact store only reads here."""

    def __init__(
        self,
        artifacts: ArtifactStore,
        *,
        under: str = "",
        reading: Callable[..., Any] = lambda do, *of: do(*of),
    ) -> None:
        """``under``: where in the store they lie, with a slash at its end.

        ``reading`` runs what reads: a folder that does not answer must not hold up a loop.
        """
        self._artifacts = artifacts
        self._under = under
        self._tenants = under + TENANTS_OF_KEYS
        self._reading = reading

    def read(self, tenant: str) -> DataKeyTable:
        """See the port. A row that cannot be read is told and left out."""
        table: DataKeyTable = self._reading(self._read, tenant)
        return table

    def _read(self, tenant: str) -> DataKeyTable:
        prefix, gone = self._keys(tenant), self._destroyed(tenant)
        destroyed = frozenset(name.removeprefix(gone) for name in self._artifacts.list(gone))
        rows: dict[str, DataKeyRow] = {}
        names = list(self._artifacts.list(prefix))
        left = {name.removeprefix(prefix).partition(".")[0] for name in names} & destroyed
        for name in names:
            row = self._row(name, tenant)
            if row is None or row.id in destroyed:
                continue
            if row.id not in rows or row.wrapping > rows[row.id].wrapping:
                rows[row.id] = row
        return DataKeyTable(rows, destroyed, left=frozenset(left))

    def keep(self, row: DataKeyRow) -> None:
        """See the port."""
        if self._is_destroyed(row):
            return
        self._artifacts.put_if_absent(self._tenants + row.tenant, b"")
        name = self._name(row)
        if not self._artifacts.put_if_absent(name, row.to_json()) and not self._row(
            name, row.tenant
        ):
            self._artifacts.delete(name)  # it was damaged
            self._artifacts.put_if_absent(name, row.to_json())
        names = list(self._artifacts.list(f"{self._keys(row.tenant)}{row.id}."))
        # Looked at again: who destroyed it in between saw no file to remove.
        destroyed, kept = self._is_destroyed(row), self._first(names, row.tenant)
        for other in names:
            if destroyed or (kept and other != kept):
                self._artifacts.delete(other)

    def destroy(self, tenant: str, ids: Collection[str]) -> None:
        """See the port."""
        self._artifacts.put_if_absent(self._tenants + tenant, b"")
        for key_id in ids:
            self._artifacts.put_if_absent(self._destroyed(tenant) + key_id, b"")
        for key_id in ids:
            for name in list(self._artifacts.list(f"{self._keys(tenant)}{key_id}.")):
                self._artifacts.delete(name)

    def tenants(self) -> Sequence[str]:
        """See the port."""
        names = self._artifacts.list(self._tenants)
        return sorted(name.removeprefix(self._tenants) for name in names)

    def _is_destroyed(self, row: DataKeyRow) -> bool:
        return self._artifacts.get(self._destroyed(row.tenant) + row.id) is not None

    def _first(self, names: Sequence[str], tenant: str) -> str | None:
        """Return the name of the row that counts among those of one key."""
        rows = [row for name in names if (row := self._row(name, tenant))]
        return self._name(max(rows, key=lambda row: row.wrapping)) if rows else None

    def _row(self, name: str, tenant: str) -> DataKeyRow | None:
        raw = self._artifacts.get(name)
        if raw is None:
            return None  # it was replaced in this moment
        try:
            row = DataKeyRow.from_json(raw)
        except CorruptArtifact as error:
            _log.error("copy_of_data_key_unreadable", name=name, reason=str(error))
            return None
        return row if row.tenant == tenant and self._name(row) == name else None

    def _keys(self, tenant: str) -> str:
        return f"{self._under}tenants/{tenant}/sealing/keys/"

    def _destroyed(self, tenant: str) -> str:
        return f"{self._under}tenants/{tenant}/sealing/destroyed/"

    def _name(self, row: DataKeyRow) -> str:
        return f"{self._keys(row.tenant)}{row.id}.{row.wraps}.{row.master}"
