"""Makes one backup of one tenant of a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kotaemon_node import __version__
from kotaemon_node.adapters.redis import RedisAuditStore, RedisPlugins
from kotaemon_node.adapters.sealing import CopiesInArtifacts
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.backup.audit import AuditCopying
from kotaemon_node.backup.format import Backup, Kind, Part
from kotaemon_node.backup.knowledge import KnowledgeCopying
from kotaemon_node.backup.making import Making, Source
from kotaemon_node.backup.plugins import PluginsCopying
from kotaemon_node.backup.sessions import SessionsCopying
from kotaemon_node.backup.writing import LEASE_S, Tell
from kotaemon_node.cli.audit_places import record
from kotaemon_node.cli.backup_places import Place, backups_at, place_below, place_of
from kotaemon_node.domain.ids import DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of a backup, whichever tenant's it is. ``url``: that of the destination."""

    url: str
    endpoint: str
    region: str
    data: Path
    knowledge: Path | None
    without_documents: bool
    parts: Sequence[Part]
    kind: Kind | None
    pause_s: float


def make(wishes: Wishes, tenant: str, tell: Tell, *, named: bool) -> Backup:
    """Copy what a tenant has, and tell the audit log.

    ``named``: somebody says that there is such a tenant, so its documents have to be there.
    """
    clock = SystemClock()
    place = place_of(wishes.data, wishes.knowledge, tenant)
    below = place_below(wishes.url, tenant)
    with (
        backups_at(
            below, writes=True, endpoint=wishes.endpoint, region=wishes.region
        ) as destination,
        place.artifacts(writes=False) as artifacts,
    ):
        redis = place.redis()
        copying = SessionsCopying(
            place.sessions(redis), artifacts, tenant=tenant, clock=clock, pause_s=wishes.pause_s
        )
        documents = (
            None
            if wishes.without_documents or (not named and _has_none(place))
            else place.knowledge
        )
        keeper = place.keeper(redis, artifacts)
        source = Source(
            sessions=copying,
            knowledge=KnowledgeCopying(artifacts, documents=documents, tenant=tenant),
            product=__version__,
            cluster=place.cluster_id,
            tenant=tenant,
            plugins=PluginsCopying(RedisPlugins(redis), artifacts, tenant=tenant),
            audit=AuditCopying(RedisAuditStore(redis), artifacts, tenant=tenant),
            copy_keys=lambda to: keeper.copy_to(CopiesInArtifacts(to), tenant),
        )
        making = Making(source, destination, clock=clock, ids=RandomIds())
        made = making.run(kind=wishes.kind, what=wishes.parts, tell=tell, lease_s=LEASE_S)
        told = {"to": below, "what": ",".join(made.what)}
        record(wishes.data, "backup.made", tenant=made.tenant, target=made.id, detail=told)
        redis.client.close()
    return made


def _has_none(place: Place) -> bool:
    """Tell whether a tenant has no documents; ``default``'s folder is there, or is not mounted."""
    if place.tenant == DEFAULT_TENANT or place.knowledge.exists():
        return False
    return place.knowledge.parents[1].is_dir()  # KNOWLEDGE_DIR/.tenants/acme
