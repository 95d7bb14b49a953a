"""Wrapped data keys in Redis: a hash a tenant, and the set of the tenants that have one."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import structlog

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.domain.data_keys import DataKeyRow, DataKeyTable
from kotaemon_node.domain.errors import CorruptArtifact

_log = structlog.get_logger(__name__)

TENANTS: Final = "kn:{sealing}:tenants"
_NEWEST: Final = "#newest"
_DESTROYED: Final = "-"


def data_keys(tenant: str) -> str:
    """Return the key of a tenant's data keys; ``keys`` has the table of all."""
    return f"kn:{{sealing:{tenant}}}:keys"


class RedisDataKeys:
    """``ports.data_keys.DataKeys``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def read(self, tenant: str) -> DataKeyTable:
        """See the port. A row that cannot be read is told and left out."""
        [said] = self._store.pipelined(lambda pipe: pipe.hgetall(data_keys(tenant)))
        fields = {name.decode(): value for name, value in said.items()}
        newest = fields.pop(_NEWEST, b"").decode()
        destroyed = frozenset(
            name.removeprefix(_DESTROYED) for name in fields if name.startswith(_DESTROYED)
        )
        found = (_row(tenant, name, raw) for name, raw in fields.items() if name[0] != _DESTROYED)
        return DataKeyTable({row.id: row for row in found if row}, destroyed, newest)

    def add(self, row: DataKeyRow, *, newest: str) -> bool:
        """See the port."""
        with store_errors():
            # Before the key: a tenant too many in the list does no harm.
            self._store.client.sadd(TENANTS, row.tenant)
        return self._changed("add", row.tenant, row.id, row.to_json(), newest)

    def put_back(self, row: DataKeyRow) -> bool:
        """See the port."""
        with store_errors():
            self._store.client.sadd(TENANTS, row.tenant)
        return self._changed("back", row.tenant, row.id, row.to_json(), "")

    def rewrap(self, old: DataKeyRow, new: DataKeyRow) -> bool:
        """See the port."""
        return self._changed("rewrap", old.tenant, old.id, new.to_json(), old.to_json())

    def destroy(self, tenant: str, ids: Collection[str]) -> None:
        """See the port."""
        for key_id in ids:
            self._changed("destroy", tenant, key_id, b"", "")

    def tenants(self) -> Sequence[str]:
        """See the port."""
        with store_errors():
            found: Any = self._store.client.smembers(TENANTS)
        return sorted(name.decode() for name in found)

    def _changed(
        self, what: str, tenant: str, key_id: str, row: bytes, expected: str | bytes
    ) -> bool:
        arguments = [what, key_id, row, expected]
        return bool(self._store.run("data_key", [data_keys(tenant)], arguments) == b"ok")


def _row(tenant: str, key_id: str, raw: bytes) -> DataKeyRow | None:
    try:
        row = DataKeyRow.from_json(raw)
        if (row.tenant, row.id) == (tenant, key_id):
            return row
        reason = "it is the row of another key"
    except CorruptArtifact as error:
        reason = str(error)
    _log.error("data_key_unreadable", tenant=tenant, key=key_id, reason=reason)
    return None
