"""What the coordinator serves of its artifact store, and to whom."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from coordinator import artifacts
from coordinator.artifacts import ArtifactService, artifact_routes
from kotaemon_node.adapters.store.factory import here
from kotaemon_node.adapters.store.file_store import FileArtifactStore

CONTENT = bytes(range(256)) * 5_000
TOKEN = {"Authorization": "Bearer word"}


def client_of(folder: Path, *, token: str = "word") -> FlaskClient:
    store = FileArtifactStore(folder)
    for name in ("a/x", "a/y", "b/z"):
        store.put_if_absent(name, CONTENT)
    app = Flask("coordinator")
    app.register_blueprint(artifact_routes(ArtifactService(store, token, here)))
    return app.test_client()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    with client_of(tmp_path) as client:
        yield client


def test_a_content_is_sent_whole_and_may_be_kept_for_ever(client: FlaskClient) -> None:
    answer = client.get("/artifacts/a/x", headers=TOKEN)
    assert (answer.status_code, answer.data) == (200, CONTENT)
    assert answer.content_length == len(CONTENT)
    assert answer.cache_control.immutable
    assert answer.headers["Accept-Ranges"] == "bytes"
    # Who has it is told so
    again = client.get("/artifacts/a/x", headers={**TOKEN, "If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    head = client.head("/artifacts/a/x", headers=TOKEN)
    assert (head.status_code, head.content_length, head.data) == (200, len(CONTENT), b"")


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [("bytes=100-", 100, len(CONTENT) - 1), ("bytes=5-9", 5, 9), ("bytes=-3", len(CONTENT) - 3, 0)],
)
def test_a_part_is_sent(client: FlaskClient, wanted: str, first: int, last: int) -> None:
    last = last or len(CONTENT) - 1
    answer = client.get("/artifacts/a/x", headers={**TOKEN, "Range": wanted})
    assert (answer.status_code, answer.data) == (206, CONTENT[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(CONTENT)}"


def test_a_part_of_another_content_is_not_sent(client: FlaskClient) -> None:
    headers = {**TOKEN, "Range": "bytes=100-", "If-Range": '"another"'}
    assert client.get("/artifacts/a/x", headers=headers).data == CONTENT
    headers = {**TOKEN, "Range": f"bytes={len(CONTENT)}-"}
    assert client.get("/artifacts/a/x", headers=headers).status_code == 416


def test_names_come_page_by_page(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "PAGE_NAMES_MAX", 2)
    first = client.get("/artifacts", headers=TOKEN).json
    assert first == {"names": ["a/x", "a/y"], "next": "a/y"}
    rest = client.get("/artifacts", query_string={"after": "a/y"}, headers=TOKEN).json
    assert rest == {"names": ["b/z"], "next": None}
    of_b = client.get("/artifacts", query_string={"prefix": "b/"}, headers=TOKEN).json
    assert of_b == {"names": ["b/z"], "next": None}


@pytest.mark.parametrize(
    "path",
    [
        *("a", "a/none", "a/x/y", "../secret", "%2e%2e/secret", "a/%2e%2e/%2e%2e/secret"),
        *(".incoming/x", "a" * 300, "a/" * 2_500 + "x"),
    ],
)
def test_what_is_no_artifact_is_not_found(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    client = client_of(tmp_path / "artifacts")
    (tmp_path / "artifacts" / ".incoming" / "x").write_text("unfinished")
    answer = client.get(f"/artifacts/{path}", headers=TOKEN)
    assert answer.status_code == 404
    assert b"secret" not in answer.data
    assert client.get("/artifacts?prefix=../", headers=TOKEN).status_code == 400
    assert client.get(f"/artifacts?prefix={'a' * 300}/", headers=TOKEN).status_code == 400


@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer wor"}, {"Authorization": "word"}])
def test_without_the_token_nothing_is_told(client: FlaskClient, sent: dict[str, str]) -> None:
    for path in ("/artifacts", "/artifacts/a/x", "/artifacts/none"):
        assert client.get(path, headers=sent).status_code == 401


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("10.0.0.7", 403), ("", 403)],
)
def test_without_a_token_only_this_machine_is_served(
    tmp_path: Path, address: str, status: int
) -> None:
    client = client_of(tmp_path, token="")
    environ: dict[str, Any] = {"REMOTE_ADDR": address}
    assert client.get("/artifacts/a/x", environ_overrides=environ).status_code == status


def test_nobody_writes_here(client: FlaskClient) -> None:
    for call in (client.put, client.post, client.delete):
        assert call("/artifacts/a/x", headers=TOKEN).status_code == 405


def test_downloads_at_once_are_bounded_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "DOWNLOADS_AT_ONCE_MAX", 1)
    client = client_of(tmp_path)
    held = client.get("/artifacts/a/x", headers=TOKEN, buffered=False)
    refused = client.get("/artifacts/a/y", headers=TOKEN)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    held.close()
    for _ in range(3):
        whole = client.get("/artifacts/a/y", headers=TOKEN, buffered=True)
        assert whole.status_code == 200
        out_of_it = {**TOKEN, "Range": "bytes=9999999-"}
        missed = client.get("/artifacts/a/y", headers=out_of_it, buffered=True)
        assert missed.status_code == 416
