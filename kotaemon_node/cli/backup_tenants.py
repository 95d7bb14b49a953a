"""Whose backups a command is about: one tenant's, or every tenant's, one after the other."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, TypeVar

import structlog
import typer

from kotaemon_node.adapters.redis.rights import REFUSED
from kotaemon_node.adapters.redis.tenants_met import tenants_met
from kotaemon_node.backup.format import BACKUPS, BackupRefused
from kotaemon_node.cli.backup_places import Place, backups_at, place_below
from kotaemon_node.cli.console import complain
from kotaemon_node.domain.artifact_names import ARCHIVE_TENANTS_PREFIX
from kotaemon_node.domain.audit_names import PREFIX as AUDIT_PREFIX
from kotaemon_node.domain.document_names import TENANTS_FOLDER
from kotaemon_node.domain.errors import Malformed, NodeError
from kotaemon_node.domain.ids import DEFAULT_TENANT, checked_tenant
from kotaemon_node.ports.artifacts import ArtifactStore

AllTenantsOption = Annotated[
    bool,
    typer.Option(
        "--all-tenants", help="Of every tenant, each in its place, as if named one by one."
    ),
]
Found = TypeVar("Found")

_log = structlog.get_logger(__name__)


def tenants_here(place: Place) -> Sequence[str]:
    """Return every tenant of a cluster that has anything which a backup holds.

    ``default`` comes first: its backup has what belongs to the whole cluster.
    """
    redis = place.redis()
    met = tenants_met(redis)
    redis.client.close()
    with place.artifacts(writes=False) as artifacts:
        archived = artifacts.list(ARCHIVE_TENANTS_PREFIX)
        met |= {name.removeprefix(ARCHIVE_TENANTS_PREFIX) for name in archived}
        logged = artifacts.list(AUDIT_PREFIX)  # also after a loss of Redis
        met |= {name.removeprefix(AUDIT_PREFIX).partition("/")[0] for name in logged}
    folders = place.knowledge / TENANTS_FOLDER
    if folders.is_dir():
        met |= {path.name for path in folders.iterdir() if path.is_dir()}
    return _sorted(met)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the backups of all tenants lie."""

    url: str
    endpoint: str
    region: str

    def of(self, tenant: str, *, writes: bool) -> AbstractContextManager[ArtifactStore]:
        """Lend the place of one tenant's."""
        below = place_below(self.url, tenant)
        return backups_at(below, writes=writes, endpoint=self.endpoint, region=self.region)

    def tenants(self, tenant: str, *, all_tenants: bool) -> Sequence[str]:
        """Return the tenant that is named, or all that have a backup here."""
        require_one_or_all(tenant, all_tenants=all_tenants)
        if not all_tenants:
            return [tenant]
        with self.of(DEFAULT_TENANT, writes=False) as store:
            names = [name.removeprefix("tenants/") for name in store.list("tenants/")]
        parts = [name.partition("/") for name in names]
        return _sorted({of for of, _, rest in parts if rest.startswith(BACKUPS)})


def require_one_or_all(tenant: str, *, all_tenants: bool) -> None:
    """Raise ``BackupRefused`` where one tenant is named and all are asked for."""
    if all_tenants and tenant != DEFAULT_TENANT:
        raise BackupRefused("Give --tenant or --all-tenants, not both.")


def of_each(
    tenants: Sequence[str], work: Callable[[str], Found]
) -> tuple[Sequence[Found], Sequence[str]]:
    """Return what ``work`` gave for each tenant, and the tenants for which it failed.

    Trouble with one is told, and the others are gone on with; that with the only one is raised.
    """
    if len(tenants) == 1:
        return [work(tenants[0])], []
    done: list[Found] = []
    failed: list[str] = []
    for tenant in tenants:
        try:
            done.append(work(tenant))
        except (BackupRefused, NodeError, OSError, ValueError, REFUSED) as error:
            complain(f"Tenant {tenant}: {str(error).rstrip('.')}. The others are gone on with.")
            failed.append(tenant)
    return done, failed


def _sorted(found: set[str]) -> Sequence[str]:
    legal = {tenant for tenant in found if _is_legal(tenant)}
    return [DEFAULT_TENANT, *sorted(legal - {DEFAULT_TENANT})]


def _is_legal(tenant: str) -> bool:
    try:
        checked_tenant("tenant", tenant)
    except Malformed:
        _log.warning("tenant_not_backed_up", tenant=tenant, reason="no tenant has such a name")
        return False
    return True
