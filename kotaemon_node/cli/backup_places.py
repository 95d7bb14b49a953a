"""Which cluster is backed up or restored, and where its backups lie."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.encoder.remote import RemotePlace
from kotaemon_node.adapters.redis import RedisDataKeys, RedisStore, RedisWholeSessions, connect
from kotaemon_node.adapters.sealing import (
    TENANTS_OF_KEYS,
    CopiesInArtifacts,
    KeyKeeper,
    MasterKeyLines,
)
from kotaemon_node.adapters.signing import TrustedKeys, read_signing_key, read_trusted_keys
from kotaemon_node.adapters.store.factory import StorePlace, make_artifact_store
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.adapters.system.secret_file import FixedLines
from kotaemon_node.backup.format import PARTS, BackupRefused, Part
from kotaemon_node.cli.cluster import folder_of
from kotaemon_node.composition.sealing import masters_of
from kotaemon_node.domain.document_names import TENANTS_FOLDER
from kotaemon_node.domain.errors import Malformed
from kotaemon_node.domain.ids import DEFAULT_TENANT, checked_id
from kotaemon_node.local import cluster as clusters
from kotaemon_node.local import encryption, places, preflight, redis_users
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.settings import Settings, environment_value

_CACHE_BYTES: Final = 1 << 30
_PRIVATE: Final = 0o600  # sessions hold what people said
_REDIS_POOL: Final = 2


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster: the one that the environment names, else the one of the data folder."""

    settings: Settings
    redis_url: str
    artifact_url: str
    knowledge: Path
    cluster_id: str
    keys: str
    """Of ``TRUSTED_KEYS``; with the data folder's own."""
    own_key: Path | None
    tenant: str = DEFAULT_TENANT
    """Whose sessions and knowledge are meant."""

    def redis(self) -> RedisStore:
        """Connect to its Redis; few connections, so that pods have theirs."""
        return connect(self.redis_url, pool_max=_REDIS_POOL)

    def sessions(self, store: RedisStore) -> RedisWholeSessions:
        """Return its sessions, of which ``store`` is the Redis or a scratch one."""
        settings = self.settings
        return RedisWholeSessions(
            store,
            tenant=self.tenant,
            ttl_s=settings.session_ttl_s,
            kept_s=settings.archive_kept_s,
            indexed=settings.archived_after_s > 0,
        )

    @contextmanager
    def artifacts(self, *, writes: bool) -> Iterator[ArtifactStore]:
        """Lend its artifact store."""
        if writes and self.artifact_url.startswith("http"):
            raise BackupRefused(
                "Knowledge and archived sessions can be put back only where the artifact store can"
                " be written: run this where the coordinator runs, or name its store with"
                " COORDINATOR_ARTIFACT_URL=file:///… or s3://….  (--what sessions needs it, too.)"
            )
        with tempfile.TemporaryDirectory(prefix="kotaemon-artifacts-") as folder:
            place = StorePlace(
                url=self.artifact_url,
                cache_dir=Path(folder),
                cache_bytes_max=_CACHE_BYTES,
                token=self.settings.artifact_token,
                s3_endpoint=self.settings.artifact_s3_endpoint,
                s3_region=self.settings.artifact_s3_region,
            )
            yield make_artifact_store(place, clock=SystemClock(), writes=writes)

    def keeper(
        self, store: RedisStore, artifacts: ArtifactStore, *, opens: bool = False
    ) -> KeyKeeper:
        """Return who copies its data keys: they stay wrapped, so no master key is needed.

        ``opens``: with the master keys, if there are any, so that a row of a backup that opens may
        take the place of an older one.
        """
        masters = masters_of(self.settings) if opens else None
        masters = masters or MasterKeyLines(FixedLines(()))
        keys, copies = RedisDataKeys(store), CopiesInArtifacts(artifacts)
        return KeyKeeper(keys, copies, masters, clock=SystemClock())

    def verifier(self) -> TrustedKeys:
        """Return whom its pods trust."""
        own = read_signing_key(self.own_key) if self.own_key is not None else None
        return read_trusted_keys(self.keys, own=own)

    def encoder(self) -> Encoder:
        """Return its encoder; made once."""
        settings = self.settings
        models = settings.model_dir
        if "model_dir" not in settings.model_fields_set:
            models = places.models_folder()
        remote = RemotePlace(settings.encoder_url, settings.encoder_api_key)
        return _encoder(settings.encoder_model, settings.encoder_backend, models, remote)


@lru_cache(maxsize=1)
def _encoder(model: str, backend: str, models: Path, remote: RemotePlace) -> Encoder:
    return make_encoder(model, backend, models, 1, remote=remote)


def place_of(
    data: Path, knowledge: Path | None, tenant: str = DEFAULT_TENANT, *, needed: bool = True
) -> Place:
    """Return the cluster that is meant, and whose of it. ``BackupRefused`` where none is.

    Not ``needed``: only its settings are, because nothing of it is asked.
    """
    try:
        checked_id("--tenant", tenant)
    except Malformed as error:
        raise BackupRefused(str(error)) from error
    settings = preflight.read_settings()
    given = settings.model_fields_set
    folder = folder_of(data)
    cluster = None if "redis_url" in given else clusters.load(folder)
    if needed and cluster is None and "redis_url" not in given:
        raise BackupRefused(
            "There is no cluster in the data folder: name it with --data, or set REDIS_URL,"
            " ARTIFACT_URL and KNOWLEDGE_DIR as for the coordinator."
        )
    own_key = folder.path / "keys" / "signing.pem"
    artifact_url = environment_value("COORDINATOR_ARTIFACT_URL") or (
        settings.artifact_url
        if cluster is None or "artifact_url" in given
        else folder.artifacts.as_uri()
    )
    if knowledge is None:
        knowledge = (
            settings.knowledge_dir
            if cluster is None or "knowledge_dir" in given
            else Path(cluster.knowledge or folder.knowledge)
        )
    if tenant != DEFAULT_TENANT:
        knowledge = knowledge / TENANTS_FOLDER / tenant
    redis_url = settings.redis_url
    if cluster is not None:
        redis_url = redis_users.url_of(cluster, "backup")
    key_file = encryption.used(folder, settings)
    return Place(
        settings=settings.model_copy(update={"encryption_key_file": key_file}),
        redis_url=redis_url,
        artifact_url=artifact_url,
        knowledge=knowledge.absolute(),
        cluster_id=cluster.cluster_id if cluster else settings.cluster_id,
        keys=settings.trusted_keys,
        own_key=own_key if cluster is not None and own_key.is_file() else None,
        tenant=tenant,
    )


def place_below(url: str, tenant: str) -> str:
    """Return where a tenant's backups lie: apart, so that one is whole without the others."""
    return url if tenant == DEFAULT_TENANT else f"{url.rstrip('/')}/{folder_below(tenant)}"[:-1]


def folder_below(tenant: str) -> str:
    """Return the same as the beginning of names at the destination."""
    return "" if tenant == DEFAULT_TENANT else f"tenants/{tenant}/"


def held(store: ArtifactStore) -> Sequence[CopiesInArtifacts]:
    """Return every place of a destination where backups have data keys."""
    tenants = {DEFAULT_TENANT}
    for name in store.list("tenants/"):
        tenant, _, rest = name.removeprefix("tenants/").partition("/")
        if rest.startswith(TENANTS_OF_KEYS):
            tenants.add(tenant)
    return [CopiesInArtifacts(store, under=folder_below(tenant)) for tenant in sorted(tenants)]


@contextmanager
def backups_at(url: str, *, writes: bool, endpoint: str, region: str) -> Iterator[ArtifactStore]:
    """Lend the destination ``url``. ``BackupRefused`` for one that cannot be used."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if parts.netloc not in {"", "localhost"} or not path.is_absolute():
            raise BackupRefused(f"{url!r} must be file:///absolute/folder.")
        if not writes and not path.is_dir():
            raise BackupRefused(f"There is no folder {path}: mount it, or name another one.")
        yield FileArtifactStore(path, mode=_PRIVATE)
        return
    if parts.scheme != "s3":
        raise BackupRefused(
            f"{url!r} is no place for backups: name one as file:///folder or s3://bucket/prefix."
        )
    settings = preflight.read_settings()
    with tempfile.TemporaryDirectory(prefix="kotaemon-backups-") as folder:
        place = StorePlace(
            url=url,
            cache_dir=Path(folder),
            cache_bytes_max=_CACHE_BYTES,
            s3_endpoint=endpoint or settings.artifact_s3_endpoint,
            s3_region=region or settings.artifact_s3_region,
        )
        try:
            yield make_artifact_store(place, clock=SystemClock(), writes=True)
        except ValueError as error:
            raise BackupRefused(str(error).replace("ARTIFACT_URL", "the destination")) from error


def parts_of(what: str) -> Sequence[Part]:
    """Read ``--what``. ``BackupRefused`` for words that mean nothing."""
    words = {word.strip() for word in what.split(",") if word.strip()}
    if not words or not words <= set(PARTS):
        raise BackupRefused(f"--what {what!r}: name {' or '.join(PARTS)}, or both with a comma.")
    return [part for part in PARTS if part in words]
