"""Composes the seal on what users and models wrote; without a master key nothing is sealed."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from kotaemon_node.adapters.redis import RedisDataKeys, RedisStore
from kotaemon_node.adapters.sealing import (
    CopiesInArtifacts,
    DataKeyRing,
    MasterKeyLines,
    SealingCipher,
    problem_of_master_key,
)
from kotaemon_node.adapters.system import SecretLines
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.cipher import FieldCipher, NoCipher
from kotaemon_node.ports.data_keys import MasterKeys
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.settings import Settings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sealing:
    """The seal of a process, and how it is told that keys of a tenant changed."""

    cipher: FieldCipher
    ring: DataKeyRing | None = None
    masters: MasterKeys | None = None

    def look_again(self, tenant: str) -> None:
        """Read the keys of the tenant before any is used again."""
        if self.ring is not None:
            self.ring.look_again(tenant)


def sealing_of(
    settings: Settings,
    *,
    store: RedisStore,
    artifacts: ArtifactStore | None,
    clock: Clock,
    count: Callable[[str], None] = lambda _: None,
) -> Sealing:
    """Return the seal that the settings ask for.

    ``artifacts``: where keys are looked for that the store has lost. ``count`` is told why a value
    was not opened. Ends the process where the file of master keys cannot be used.
    """
    masters = masters_of(settings)
    if masters is None:
        _log.warning("nothing_is_sealed", reason="ENCRYPTION_KEY_FILE is not set")
        return Sealing(NoCipher())
    copies = CopiesInArtifacts(artifacts) if artifacts is not None else None
    ring = DataKeyRing(RedisDataKeys(store), masters, copies=copies, clock=clock)
    strict = settings.encryption_plain == "refuse"
    return Sealing(SealingCipher(ring, strict=strict, count=count), ring, masters)


def cipher_of(
    settings: Settings,
    *,
    store: RedisStore,
    artifacts: ArtifactStore | None,
    clock: Clock,
    count: Callable[[str], None] = lambda _: None,
) -> FieldCipher:
    """Return the cipher of ``sealing_of``, for who needs nothing else."""
    return sealing_of(settings, store=store, artifacts=artifacts, clock=clock, count=count).cipher


def masters_of(settings: Settings) -> MasterKeys | None:
    """Return the master keys; None where there are none. Ends the process for a file of others."""
    if settings.encryption_key_file is None:
        return None
    try:
        lines = SecretLines(settings.encryption_key_file, check=problem_of_master_key)
    except ValueError as error:
        raise SystemExit(f"ENCRYPTION_KEY_FILE: {error}") from error
    return MasterKeyLines(lines)
