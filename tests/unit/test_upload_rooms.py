"""Where uploads wait: in the store itself, or sent to the coordinator that serves it."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from coordinator.artifacts import ArtifactService, artifact_routes
from kotaemon_node.adapters.store.factory import StorePlace, here
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.store.uploads import make_upload_room
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import bundle_name, upload_name
from kotaemon_node.ports.artifacts import ArtifactsUnavailable
from kotaemon_node.ports.uploads import UploadRoom
from tests.fakes.knowledge_ports import HandClock

TOKEN = {"Authorization": "Bearer word"}
CONTENT = "Some text, 一些文字.".encode()
REVISION = hashlib.sha256(CONTENT).hexdigest()
NAME = upload_name("default", "job-1", REVISION)


@pytest.fixture
def store(tmp_path: Path) -> FileArtifactStore:
    return FileArtifactStore(tmp_path / "artifacts")


def app_of(store: FileArtifactStore) -> Flask:
    app = Flask("coordinator")
    app.register_blueprint(artifact_routes(ArtifactService(store, "word", here)))
    return app


@pytest.fixture
def client(store: FileArtifactStore) -> Iterator[FlaskClient]:
    with app_of(store).test_client() as client:
        yield client


@pytest.fixture
def address(store: FileArtifactStore) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app_of(store), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/artifacts"
    server.shutdown()
    thread.join()


def room_at(url: str, folder: Path, *, token: str = "word") -> UploadRoom:
    place = StorePlace(url, folder / "cache", 1 << 20, token=token)
    return make_upload_room(place, clock=HandClock(), native=here)


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_what_is_put_is_there_once_until_it_is_discarded(
    kind: str, store: FileArtifactStore, address: str, tmp_path: Path
) -> None:
    url = (tmp_path / "artifacts").as_uri() if kind == "folder" else address
    room = room_at(url, tmp_path)
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    for _ in range(2):
        room.put(NAME, source)
        assert store.get(NAME) == CONTENT
    for _ in range(2):
        room.discard(NAME)
        assert store.get(NAME) is None


def test_who_is_refused_or_meets_nobody_says_why(address: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    with pytest.raises(ArtifactsUnavailable, match="ARTIFACT_TOKEN"):
        room_at(address, tmp_path, token="other").put(NAME, source)
    with pytest.raises(ArtifactsUnavailable, match="does not answer"):
        room_at("http://127.0.0.1:9/artifacts", tmp_path).put(NAME, source)


@pytest.mark.parametrize(
    "name",
    [
        "tenants/default/kb/default/manifests/0000000001.json",
        "tenants/default/uploads/job-1/short",
        f"tenants/default/uploads/{REVISION}",
        f"tenants/default/kb/uploads/{REVISION}",
        f"tenants/default/uploads/../{REVISION}",
        f"elsewhere/default/uploads/job-1/{REVISION}",
    ],
)
def test_nothing_else_can_be_written_or_removed(
    client: FlaskClient, store: FileArtifactStore, name: str
) -> None:
    assert client.put(f"/artifacts/{name}", data=CONTENT, headers=TOKEN).status_code in {400, 405}
    assert not list(store.list(""))
    if ".." not in name:
        store.put_if_absent(name, b"kept")
        assert client.delete(f"/artifacts/{name}", headers=TOKEN).status_code == 405
        assert store.get(name) == b"kept"


def test_bytes_that_are_not_those_of_the_name_are_refused(
    client: FlaskClient, store: FileArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/artifacts/{NAME}"
    assert client.put(path, data=CONTENT[:-1], headers=TOKEN).status_code == 400
    assert client.put(path, data=CONTENT).status_code == 401
    assert client.delete(path).status_code == 401
    monkeypatch.setattr(limits, "DOCUMENT_BYTES_MAX", 3)
    assert client.put(path, data=CONTENT, headers=TOKEN).status_code == 413
    assert not list(store.list(""))


def test_a_bundle_goes_the_same_way_under_the_name_of_its_bytes(
    address: str, client: FlaskClient, store: FileArtifactStore, tmp_path: Path
) -> None:
    source = tmp_path / "bundle"
    source.write_bytes(CONTENT)
    name = bundle_name("default", REVISION)

    room_at(address, tmp_path).put(name, source)

    assert store.get(name) == CONTENT
    url = f"/artifacts/{bundle_name('default', '0' * 64)}"
    assert client.put(url, data=CONTENT, headers=TOKEN).status_code == 400
    assert client.delete(f"/artifacts/{name}", headers=TOKEN).status_code == 405
    assert store.get(name) == CONTENT
