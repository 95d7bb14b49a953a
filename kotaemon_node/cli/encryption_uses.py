"""Looks through the stores of a cluster for what each data key has sealed.

Law 1: what a value was moved to while somebody looks is looked at after what it was moved from. The
       archive is read, then Redis, where a session that woke since lies, then what is new in the
       archive, where one lies that went to rest since.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Final

from kotaemon_node.adapters.redis import RedisStore
from kotaemon_node.adapters.redis.contents import contents
from kotaemon_node.backup.shelf import Shelf
from kotaemon_node.domain.artifact_names import SESSION_BUCKETS, session_bucket_prefix
from kotaemon_node.domain.data_keys import DataKeyTable
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.key_uses import KeyUses
from kotaemon_node.ports.artifacts import ArtifactStore

REDIS: Final = "redis"
ARCHIVE: Final = "archive"
BACKUPS: Final = "backups"
SEALS_UNTIL_S: Final = 3600.0
"""A key that gave way so long ago seals nothing any more, whatever a pod believed of it."""

Told = Callable[[int], None]


def uses_of(
    tables: Mapping[str, DataKeyTable],
    redis: RedisStore,
    artifacts: ArtifactStore,
    backups: Mapping[str, Sequence[ArtifactStore]],
    told: Told,
) -> KeyUses:
    """Return what the keys of all tables have sealed; ``told`` is called for each value.

    ``backups``: the destinations of each tenant's.

    Raises what the stores raise, and ``CorruptArtifact`` where something of a backup or of the
    archive cannot be read: then nobody knows by which key it was sealed.
    """
    uses = KeyUses([key_id for table in tables.values() for key_id in table.rows])
    # 64 bits of each name: among ten million, two have the same ones once in 300,000 times.
    read: set[int] = set()
    _take_archive(uses, artifacts, list(tables), read, told)
    for name, value in contents(redis):
        uses.take(REDIS, name, value)
        told(1)
    _take_archive(uses, artifacts, list(tables), read, told)
    for tenant in tables:
        for store in backups.get(tenant, ()):
            _take_backups(uses, store, tenant, told)
    return uses


def droppable(table: DataKeyTable, key_id: str, uses: KeyUses, *, now_s: float) -> bool:
    """Tell whether nothing that was looked through needs a key, and nothing will."""
    gave_way_ms = replaced_ms(table, key_id)
    if gave_way_ms is None or gave_way_ms / 1000 + SEALS_UNTIL_S > now_s:
        return False
    return uses.uses[key_id].total == 0


def replaced_ms(table: DataKeyTable, key_id: str) -> int | None:
    """Return when a newer key took the place of this one; None for the one that seals."""
    newest_first = [row.id for row in table.by_age()]
    at = newest_first.index(key_id)
    return table.rows[newest_first[at - 1]].made_ms if at else None


def _take_archive(
    uses: KeyUses, artifacts: ArtifactStore, tenants: Sequence[str], read: set[int], told: Told
) -> None:
    """Count in what of the archive was not ``read`` yet; a copy never changes under its name."""
    for tenant, bucket in product(tenants, range(SESSION_BUCKETS)):
        for name in artifacts.list(session_bucket_prefix(tenant, bucket)):
            if hash(name) in read:
                continue
            read.add(hash(name))
            content = artifacts.get(name)
            if content is not None:  # else it was removed in this moment
                uses.take(ARCHIVE, name, _inflated(content, name))
            told(1)


def _take_backups(uses: KeyUses, store: ArtifactStore, tenant: str, told: Told) -> None:
    shelf, seen, pack, content = Shelf(store), set[tuple[str, int]](), "", b""
    for backup_id in shelf.ids():
        backup = shelf.backup(backup_id)
        if backup.tenant != tenant:
            continue
        for row in shelf.sessions(backup.sessions):
            if (row.pack, row.offset) in seen:
                continue
            seen.add((row.pack, row.offset))
            if row.pack != pack:
                pack, content = row.pack, shelf.content(row.pack)
            copy = content[row.offset : row.offset + row.size_bytes]
            uses.take(BACKUPS, backup_id, _inflated(copy, f"a session of {backup_id}"))
            told(1)


def _inflated(content: bytes, name: str) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error as error:
        raise CorruptArtifact(f"{name} cannot be read: what it needs is not known") from error
