"""Composes a process's hand in the audit log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kotaemon_node.adapters.redis import RedisAuditStore, connect
from kotaemon_node.adapters.store.factory import reading_of
from kotaemon_node.adapters.system import SecretLines
from kotaemon_node.audit_log.reading import AuditReader
from kotaemon_node.audit_log.settings_told import SettingsTold, digests_of
from kotaemon_node.audit_log.writer import AuditCounts, AuditWriter
from kotaemon_node.domain import audit_limits as limits
from kotaemon_node.domain.audit_chain import AuditKey
from kotaemon_node.domain.credentials import problem_of
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.audit import AuditLog, AuditStore, NoAuditLog
from kotaemon_node.ports.runtime import Clock, IdSource
from kotaemon_node.settings import Settings


@dataclass(frozen=True, slots=True)
class Audited:
    """What a program is given for it."""

    log: AuditLog
    """Records; keeps nothing where the log is off."""
    store: AuditStore
    writer: AuditWriter | None = None
    """To be run beside the program's work; None: there is no log."""

    def reader(self, artifacts: ArtifactStore, *, native: Callable[..., Any]) -> AuditReader | None:
        """Return what reads the log, ``native`` what blocks on the disk; None: there is none."""
        if self.writer is None:
            return None
        return AuditReader(self.store, artifacts, native=reading_of(artifacts, native=native))


def audited_of(
    settings: Settings,
    *,
    clock: Clock,
    ids: IdSource,
    counts: AuditCounts | None = None,
    redis_url: str = "",
    lines: bool = True,
    program: str = "",
) -> Audited:
    """Return it; connects when first used. Raises ``ValueError`` for keys that cannot be used.

    ``redis_url``: where the log is, unless the settings say it. ``lines`` False: for a program
    whose own log nobody keeps. ``program``: whose settings are told where they are others than
    those of the one that began before; "": of none.
    """
    # Connections of its own: nobody's request waits behind the log. What is in it was confirmed.
    store = RedisAuditStore(
        connect(
            redis_url or settings.redis_url,
            pool_max=limits.AUDIT_CONNECTIONS_MAX,
            durability=settings.durability,
        )
    )
    if settings.audit_log == "off":
        return Audited(NoAuditLog(), store)
    keys = audit_keys(settings)
    told = SettingsTold(program, digests_of(settings), store) if program else None
    writer = AuditWriter(
        store,
        keys=keys,
        clock=clock,
        ids=ids,
        counts=counts,
        lines=lines,
        first=told.events if told else None,
    )
    return Audited(writer, store, writer)


def audit_keys(settings: Settings) -> Callable[[], Sequence[AuditKey]]:
    """Return what tells the keys, newest first. Raises ``ValueError``; it names no secret."""
    path = settings.audit_key_file
    if path is None:
        return tuple
    try:
        lines = SecretLines(path, check=problem_of)
    except ValueError as error:
        raise ValueError(f"AUDIT_KEY_FILE: {error}") from error
    known: tuple[AuditKey, ...] = ()

    def keys() -> Sequence[AuditKey]:
        nonlocal known
        # A file that cannot be read for a moment must not make entries that nothing protects.
        known = tuple(AuditKey.of(line) for line in lines.lines()) or known
        return known

    keys()
    return keys
