"""Which tenants have copies of sessions in the artifact store, as it says itself.

The session store may forget everything, so it is not asked: each tenant is noted before its first
copy is written. The note stays, as an empty file.
"""

from collections.abc import Callable, Collection, Sequence

from kotaemon_node.domain.artifact_names import ARCHIVE_TENANTS_PREFIX
from kotaemon_node.domain.errors import Malformed
from kotaemon_node.domain.ids import DEFAULT_TENANT, checked_id
from kotaemon_node.ports.artifacts import ArtifactStore


class ArchiveTenants:
    """See above. For one thread."""

    def __init__(self, artifacts: ArtifactStore, *, known: Callable[[], Collection[str]]) -> None:
        """``known``: tenants that may have copies from a time when none was noted."""
        self._artifacts = artifacts
        self._known = known
        self._noted: set[str] = set()

    def note(self, tenant: str) -> None:
        """Note that copies of this tenant follow; raises what the artifact store does."""
        if tenant not in self._noted:
            self._artifacts.put_if_absent(ARCHIVE_TENANTS_PREFIX + tenant, b"")
            self._noted.add(tenant)

    def all(self) -> Sequence[str]:
        """Return the tenants that may have copies, sorted."""
        names = self._artifacts.list(ARCHIVE_TENANTS_PREFIX)
        noted = {name.removeprefix(ARCHIVE_TENANTS_PREFIX) for name in names}
        return sorted(it for it in {DEFAULT_TENANT, *noted, *self._known()} if _legal(it))


def _legal(tenant: str) -> bool:
    try:
        checked_id("tenant", tenant)
    except Malformed:  # not of our making
        return False
    return True
