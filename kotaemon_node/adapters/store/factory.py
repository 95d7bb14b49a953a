"""Which artifact store an ``ARTIFACT_URL`` names."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from kotaemon_node.adapters.store.cache import LocalCache
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.store.http_origin import HttpOrigin
from kotaemon_node.adapters.store.remote_store import RemoteArtifactStore
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.runtime import Clock


class StoreSettings(Protocol):
    """The settings that say where artifacts lie; see ``docs/reference/settings.md``."""

    @property
    def artifact_url(self) -> str: ...
    @property
    def artifact_token(self) -> str: ...
    @property
    def artifact_cache_dir(self) -> Path: ...
    @property
    def artifact_cache_bytes_max(self) -> int: ...
    @property
    def artifact_ca_file(self) -> Path | None: ...
    @property
    def artifact_s3_endpoint(self) -> str: ...
    @property
    def artifact_s3_region(self) -> str: ...


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where artifacts lie, and what a machine needs that has to fetch them."""

    url: str
    cache_dir: Path
    cache_bytes_max: int
    token: str = ""
    """Of a coordinator that serves them."""
    s3_endpoint: str = ""
    s3_region: str = ""
    ca_file: Path | None = None
    """Certificates that sign those of a server over TLS; None: those of the system."""

    @classmethod
    def of(cls, settings: StoreSettings, *, url: str = "") -> "StorePlace":
        """Return what the settings say, but for ``url`` where it is given."""
        return cls(
            url=url or settings.artifact_url,
            cache_dir=settings.artifact_cache_dir,
            cache_bytes_max=settings.artifact_cache_bytes_max,
            token=settings.artifact_token,
            s3_endpoint=settings.artifact_s3_endpoint,
            s3_region=settings.artifact_s3_region,
            ca_file=settings.artifact_ca_file,
        )


def here(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run ``work`` on the calling thread: ``Tasks.compute`` for a program that has nothing else."""
    return work(*arguments)


def reading_of(store: ArtifactStore, *, native: Callable[..., Any]) -> Callable[..., Any]:
    """Return what reads ``store`` without holding up a serving loop: disks on a native thread."""
    return native if isinstance(store, FileArtifactStore) else here


def make_artifact_store(
    place: StorePlace, *, clock: Clock, native: Callable[..., Any] = here, writes: bool = False
) -> ArtifactStore:
    """Return the store at ``place``; ``native`` runs what blocks on the disk.

    Raises ``ValueError`` for an address that is none, or that cannot be written where ``writes``
    is wanted; ``OSError`` when a folder cannot be made. Nothing is asked of a server yet.
    """
    parts = urlsplit(place.url)
    if parts.scheme == "file":
        return FileArtifactStore(_folder(place.url))
    if parts.scheme not in {"http", "https", "s3"}:
        raise ValueError(
            f"ARTIFACT_URL begins with {parts.scheme or place.url!r}:"
            " file://, s3://, http:// and https:// are known"
        )
    if parts.scheme == "s3":
        return _s3(place, clock=clock, native=native, writes=writes)
    if writes:
        raise ValueError("ARTIFACT_URL of a coordinator must be file:// or s3://: it writes there")
    if not parts.hostname or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("ARTIFACT_URL must be http://host:port/artifacts, without credentials")
    return RemoteArtifactStore(
        HttpOrigin(place.url, token=place.token, ca_file=place.ca_file),
        _cache(place, clock),
        native=native,
        clock=clock,
        remembers=True,
    )


def _s3(
    place: StorePlace, *, clock: Clock, native: Callable[..., Any], writes: bool
) -> ArtifactStore:
    try:
        # The client is an extra, and takes half a second to import.
        from kotaemon_node.adapters.store.s3_origin import S3Origin, bucket_at  # noqa: PLC0415
        from kotaemon_node.adapters.store.s3_store import S3ArtifactStore  # noqa: PLC0415
    except ImportError as error:
        raise ValueError("ARTIFACT_URL begins with s3: install kotaemon-cluster[s3]") from error
    bucket = bucket_at(
        place.url, endpoint=place.s3_endpoint, region=place.s3_region, ca_file=place.ca_file
    )
    cache = _cache(place, clock)
    if writes:
        return S3ArtifactStore(bucket, cache, native=native, clock=clock)
    return RemoteArtifactStore(S3Origin(bucket), cache, native=native, clock=clock, remembers=True)


def _cache(place: StorePlace, clock: Clock) -> LocalCache:
    # Names of two stores may be equal, their contents not.
    whose = hashlib.sha256(f"{place.s3_endpoint} {place.url}".encode()).hexdigest()[:16]
    return LocalCache(place.cache_dir / whose, bytes_max=place.cache_bytes_max, clock=clock)


def _folder(url: str) -> Path:
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if parts.netloc not in {"", "localhost"} or not path.is_absolute():
        raise ValueError(f"ARTIFACT_URL must be file:///absolute/folder, not {url!r}")
    return path
