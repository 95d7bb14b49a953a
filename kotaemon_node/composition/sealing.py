"""Composes the seal on what users and models wrote; without a master key nothing is sealed."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from kotaemon_node.adapters.redis import RedisDataKeys, RedisStore
from kotaemon_node.adapters.sealing import (
    CopiesInArtifacts,
    DataKeyRing,
    KeyKeeper,
    MasterKeyLines,
    OpensOnly,
    ReadKeys,
    SealingCipher,
    problem_of_master_key,
)
from kotaemon_node.adapters.store.factory import here, reading_of
from kotaemon_node.adapters.system import SecretLines
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import CONFIG_UPDATED, DATA_KEYS, ConfigUpdated
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.cipher import FieldCipher, NoCipher
from kotaemon_node.ports.data_keys import MasterKeys
from kotaemon_node.ports.events import Bus, Message
from kotaemon_node.ports.runtime import Clock, IdSource
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
    native: Callable[..., Any] = here,
    count: Callable[[str], None] = lambda _: None,
) -> Sealing:
    """Return the seal that the settings ask for.

    ``artifacts``: where keys are looked for that the store has lost; ``native`` runs what reads it
    from a disk. ``count`` is told why a value was not opened. Ends the process where the file of
    master keys cannot be used.
    """
    masters = masters_of(settings)
    if masters is None:
        _log.warning("nothing_is_sealed", reason="ENCRYPTION_KEY_FILE is not set")
        return Sealing(NoCipher())
    copies = _copies_of(artifacts, native)
    ring = DataKeyRing(RedisDataKeys(store), masters, copies=copies, clock=clock)
    strict = settings.encryption_plain == "refuse"
    cipher: FieldCipher = SealingCipher(ring, strict=strict, count=count)
    if settings.encryption_seal == "off":
        _log.warning("nothing_is_sealed", reason="ENCRYPTION_SEAL is off")
        cipher = OpensOnly(cipher)
    return Sealing(cipher, ring, masters)


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


def opener_of(
    settings: Settings, *, store: RedisStore, artifacts: ArtifactStore | None, clock: Clock
) -> FieldCipher:
    """Return what opens sealed values and writes nothing: its user need not be allowed to."""
    masters = masters_of(settings)
    if masters is None:
        return NoCipher()
    keys = ReadKeys(RedisDataKeys(store))
    ring = DataKeyRing(keys, masters, copies=_copies_of(artifacts, here), clock=clock)
    return OpensOnly(SealingCipher(ring))


def _copies_of(
    artifacts: ArtifactStore | None, native: Callable[..., Any]
) -> CopiesInArtifacts | None:
    if artifacts is None:
        return None
    return CopiesInArtifacts(artifacts, reading=reading_of(artifacts, native=native))


def keeper_of(
    settings: Settings, *, store: RedisStore, artifacts: ArtifactStore, clock: Clock
) -> KeyKeeper | None:
    """Return who looks after the data keys; None where there is no master key.

    ``artifacts`` is written.
    """
    masters = masters_of(settings)
    if masters is None:
        return None
    return KeyKeeper(RedisDataKeys(store), CopiesInArtifacts(artifacts), masters, clock=clock)


def tell_keys_changed(bus: Bus, tenant: str, *, clock: Clock, ids: IdSource) -> None:
    """Have pods read a tenant's keys now; without this hint they do so within seconds."""
    at = datetime.fromtimestamp(clock.now_s(), UTC).isoformat(timespec="milliseconds")
    event = ConfigUpdated(ids.new_id(), tenant, DATA_KEYS, tenant, 0, at)
    try:
        bus.publish(Message(CONFIG_UPDATED, f"{DATA_KEYS}/{tenant}", orjson.dumps(asdict(event))))
    except Unavailable as error:
        _log.info("event_not_sent", topic=CONFIG_UPDATED, reason=str(error))


def masters_of(settings: Settings) -> MasterKeys | None:
    """Return the master keys; None where there are none. Ends the process for a file of others."""
    if settings.encryption_key_file is None:
        return None
    if settings.encryption_seal == "off" and settings.encryption_plain == "refuse":
        raise SystemExit(
            "ENCRYPTION_SEAL=off writes what ENCRYPTION_PLAIN=refuse does not read; set one of them"
        )
    try:
        lines = SecretLines(settings.encryption_key_file, check=problem_of_master_key)
    except ValueError as error:
        raise SystemExit(f"ENCRYPTION_KEY_FILE: {error}") from error
    return MasterKeyLines(lines)
