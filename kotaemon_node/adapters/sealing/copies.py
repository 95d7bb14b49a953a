"""Wrapped data keys in the artifact store, beside the archive that they open.

``ports.data_keys.CopiesOfDataKeys``. A name never changes its content there, so a key under another
master key has another name. A destroyed key leaves an empty file, before its rows are removed.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import structlog

from kotaemon_node.domain.data_keys import DataKeyRow, DataKeyTable
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.artifacts import ArtifactStore

_log = structlog.get_logger(__name__)

_TENANTS: Final = "sealing/tenants/"


class CopiesInArtifacts:
    """See above. Whoever only reads the artifact store only reads here."""

    def __init__(
        self, artifacts: ArtifactStore, *, reading: Callable[..., Any] = lambda do, *of: do(*of)
    ) -> None:
        """``reading`` runs what reads: a folder that does not answer must not hold up a loop."""
        self._artifacts = artifacts
        self._reading = reading

    def read(self, tenant: str) -> DataKeyTable:
        """See the port. A row that cannot be read is told and left out."""
        table: DataKeyTable = self._reading(self._read, tenant)
        return table

    def _read(self, tenant: str) -> DataKeyTable:
        prefix, gone = _keys(tenant), _destroyed(tenant)
        destroyed = frozenset(name.removeprefix(gone) for name in self._artifacts.list(gone))
        rows: dict[str, DataKeyRow] = {}
        for name in self._artifacts.list(prefix):
            row = self._row(name, tenant)
            if row is not None and row.id not in destroyed:
                rows[row.id] = row
        return DataKeyTable(rows, destroyed)

    def keep(self, row: DataKeyRow) -> None:
        """See the port."""
        if self._artifacts.get(_destroyed(row.tenant) + row.id) is not None:
            return
        self._artifacts.put_if_absent(_TENANTS + row.tenant, b"")
        name = _name(row)
        if not self._artifacts.put_if_absent(name, row.to_json()):
            if self._row(name, row.tenant) is not None:
                return
            self._artifacts.delete(name)  # it was damaged
            self._artifacts.put_if_absent(name, row.to_json())
        for other in list(self._artifacts.list(f"{_keys(row.tenant)}{row.id}.")):
            if other != name:
                self._artifacts.delete(other)

    def destroy(self, tenant: str, ids: Collection[str]) -> None:
        """See the port."""
        self._artifacts.put_if_absent(_TENANTS + tenant, b"")
        for key_id in ids:
            self._artifacts.put_if_absent(_destroyed(tenant) + key_id, b"")
        for key_id in ids:
            for name in list(self._artifacts.list(f"{_keys(tenant)}{key_id}.")):
                self._artifacts.delete(name)

    def tenants(self) -> Sequence[str]:
        """See the port."""
        return sorted(name.removeprefix(_TENANTS) for name in self._artifacts.list(_TENANTS))

    def _row(self, name: str, tenant: str) -> DataKeyRow | None:
        raw = self._artifacts.get(name)
        if raw is None:
            return None  # it was replaced in this moment
        try:
            row = DataKeyRow.from_json(raw)
        except CorruptArtifact as error:
            _log.error("copy_of_data_key_unreadable", name=name, reason=str(error))
            return None
        return row if row.tenant == tenant and _name(row) == name else None


def _keys(tenant: str) -> str:
    return f"tenants/{tenant}/sealing/keys/"


def _destroyed(tenant: str) -> str:
    return f"tenants/{tenant}/sealing/destroyed/"


def _name(row: DataKeyRow) -> str:
    return f"{_keys(row.tenant)}{row.id}.{row.master}"
