"""Which cluster's audit log a command is about, and what commands record there themselves."""

import getpass
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kotaemon_node.adapters.signing import TrustedKeys
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.backup.format import BackupRefused
from kotaemon_node.cli.backup_places import place_of
from kotaemon_node.cli.cluster import folder_of
from kotaemon_node.cli.console import err
from kotaemon_node.cli.service import ServiceError
from kotaemon_node.composition.audited import audit_keys, audited_of
from kotaemon_node.domain.audit import AuditEvent, Detail
from kotaemon_node.domain.audit_chain import AuditKey
from kotaemon_node.domain.errors import CorruptArtifact, NodeError, Unavailable
from kotaemon_node.local import audit_key, preflight, redis_users
from kotaemon_node.local import cluster as clusters
from kotaemon_node.local.errors import LocalError
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.audit import AuditStore


@dataclass(frozen=True, slots=True)
class AuditPlace:
    """Both parts of a cluster's audit log, and what they are verified with."""

    store: AuditStore
    artifacts: ArtifactStore
    keys: Sequence[AuditKey]
    verifier: TrustedKeys


@contextmanager
def audit_place(data: Path) -> Iterator[AuditPlace]:
    """Lend the log of REDIS_URL and ARTIFACT_URL, else of the cluster in a data folder."""
    with _told(), ExitStack() as stack:
        place = place_of(data, None)
        settings = audit_key.known(folder_of(data), place.settings)
        audited = audited_of(
            settings, clock=SystemClock(), ids=RandomIds(), redis_url=place.redis_url
        )
        yield AuditPlace(
            audited.store,
            stack.enter_context(place.artifacts(writes=False)),
            audit_keys(settings)(),
            place.verifier(),
        )


def record(
    data: Path,
    action: str,
    *,
    tenant: str,
    target: str = "",
    detail: Mapping[str, Detail] | None = None,
) -> None:
    """Put what a command did into the audit log, where there is one; says where it cannot."""
    settings = preflight.read_settings()
    folder = folder_of(data)
    cluster = None if "redis_url" in settings.model_fields_set else clusters.load(folder)
    if cluster is not None:
        settings = audit_key.known(folder, settings)
    if settings.audit_log == "off":
        return
    local = cluster and redis_users.url_of(cluster, "backup")
    try:
        audited = audited_of(
            settings,
            clock=SystemClock(),
            ids=RandomIds(),
            redis_url=local or settings.redis_url,
            lines=False,
        )
    except ValueError as error:
        raise LocalError(f"{error}.") from error
    who = _user()
    event = AuditEvent(
        action,
        "done",
        tenant,
        subject=who,
        role="operator",
        credential="command line",
        target=target,
        detail=detail or {},
    )
    if audited.writer is None:
        return
    audited.writer.record(event)
    if not audited.writer.finish():
        err.print(f"The audit log cannot be written now: {action} of {target} is not in it.")


def _user() -> str:
    """Return the user of the machine, whom the command line takes for who asks."""
    try:
        return f"os:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user without a name
        return "os:"


@contextmanager
def _told() -> Iterator[None]:
    """Turn errors of the product into sentences."""
    try:
        yield
    except BackupRefused as error:
        raise LocalError(str(error)) from error
    except Unavailable as error:
        raise ServiceError(f"The audit log cannot be read now: {error}.") from error
    except CorruptArtifact as error:
        raise ServiceError(f"{error}.") from error
    except (NodeError, ValueError, OSError) as error:
        raise LocalError(f"{error}.") from error
