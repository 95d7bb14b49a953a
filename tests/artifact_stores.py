"""Artifact stores of every kind, on real servers, for tests.

S3 is the server of moto unless ``KOTAEMON_TEST_S3`` names a real one (``http://host:port``, with
the usual AWS variables for its credentials): then the same tests run on that.
"""

import os
import secrets
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from flask import Flask
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from coordinator.artifacts import ArtifactService, artifact_routes
from kotaemon_node.adapters.store.factory import StorePlace, here, make_artifact_store
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.ports.artifacts import ArtifactStore

REAL_S3 = os.environ.get("KOTAEMON_TEST_S3", "")
CACHE_BYTES = 1 << 30


def file_store(folder: Path) -> ArtifactStore:
    return make_artifact_store(
        StorePlace(f"file://{folder}/a%20folder", folder, CACHE_BYTES), clock=SystemClock()
    )


def reader(url: str, cache: Path, *, token: str = "", **how: Any) -> ArtifactStore:
    """Return the store of a worker that reads at ``url``."""
    place = StorePlace(url, cache, how.pop("cache_bytes_max", CACHE_BYTES), token=token)
    return make_artifact_store(place, clock=SystemClock(), **how)


class WrittenThere(FileArtifactStore):
    """What a coordinator puts, read through another store, which is a worker's."""

    def __init__(self, root: Path, seen: ArtifactStore) -> None:
        super().__init__(root)
        self.get = seen.get  # type: ignore[method-assign]
        self.open_local = seen.open_local  # type: ignore[method-assign]
        self.list = seen.list  # type: ignore[method-assign]
        self.discard_local = seen.discard_local  # type: ignore[method-assign]


@dataclass
class ServedFolder:
    """A folder that the coordinator's application serves on a port of this machine."""

    folder: Path
    cache: Path
    url: str
    token: str

    def store(self) -> ArtifactStore:
        """Return a store that is written in the folder and read over HTTP."""
        return WrittenThere(self.folder, reader(self.url, self.cache, token=self.token))


@pytest.fixture
def served_folder(tmp_path: Path) -> Iterator[ServedFolder]:
    folder = tmp_path / "artifacts"
    service = ArtifactService(FileArtifactStore(folder), token="word", native=here)
    app = Flask("coordinator")
    app.register_blueprint(artifact_routes(service))
    with serving(app) as address:
        yield ServedFolder(folder, tmp_path / "cache", f"{address}/artifacts", "word")


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[None]:
    """Mount a disk of this size at ``folder``; the test is skipped where that is not allowed."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "none", str(folder)],
        check=False,
        capture_output=True,
    )
    if made.returncode != 0:
        pytest.skip("a small disk needs the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class serving:
    """Serves a WSGI application on a free port while the block runs."""

    def __init__(self, app: Any, *, threaded: bool = True) -> None:
        self._server = make_server("127.0.0.1", 0, app, threaded=threaded)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class TestBucket:
    """A bucket of its own on a server that speaks S3."""

    __test__ = False
    endpoint: str
    name: str
    client: Any

    @property
    def url(self) -> str:
        return f"s3://{self.name}/a%20place"

    def place(self, cache: Path, *, cache_bytes_max: int = CACHE_BYTES) -> StorePlace:
        return StorePlace(
            self.url,
            cache,
            cache_bytes_max,
            s3_endpoint=self.endpoint,
            s3_region="us-east-1",
        )

    def store(self, cache: Path, *, writes: bool = True) -> ArtifactStore:
        return make_artifact_store(self.place(cache), clock=SystemClock(), writes=writes)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    if REAL_S3:
        yield REAL_S3
        return
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")
    # One request at a time: moto looks and then writes, so two at once could both be first.
    with serving(DomainDispatcherApplication(create_backend_app), threaded=False) as address:
        yield address


@pytest.fixture
def bucket(s3_endpoint: str) -> TestBucket:
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    name = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    return TestBucket(s3_endpoint, name, client)
