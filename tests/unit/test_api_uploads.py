"""Uploading: what is taken, what is refused before a byte is kept, and how it shows meanwhile."""

import hashlib
import socket
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from kotaemon_node.api import multipart
from kotaemon_node.api.upload_slots import UploadSlots
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import upload_name
from kotaemon_node.domain.errors import Overloaded
from tests.fakes.knowledge_base import DOCUMENT, GENERATION, OLD_REVISION, REVISION
from tests.fakes.services import FakeCluster

PATH = "/v1/knowledge/{kb}/documents"
FORM = "multipart/form-data; boundary=xyz"
TEXT = b"Cups hold 350 ml."


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def upload(
    cluster: FakeCluster, *parts: tuple[str, Any], kb: str = "shop", query: str = ""
) -> TestResponse:
    """Send a form whose parts are in this order: ("path", text) or ("file", (content, name))."""
    lines: list[bytes] = []
    for name, value in parts:
        lines.append(b"--xyz\r\n")
        if isinstance(value, str):
            head = f'Content-Disposition: form-data; name="{name}"\r\n\r\n'
            lines += [head.encode(), value.encode()]
        else:
            content, filename = value
            head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
            lines += [head.encode(), content]
        lines.append(b"\r\n")
    body = b"".join([*lines, b"--xyz--\r\n"])
    return cluster.client().post(PATH.format(kb=kb) + query, data=body, content_type=FORM)


def test_a_file_is_taken_and_waits() -> None:
    cluster = FakeCluster()

    answer = upload(cluster, ("file", (TEXT, "茶杯 指南.md")))

    assert answer.status_code == 202
    row = {"document": "shop/茶杯 指南.md", "revision": sha256(TEXT), "job": answer.json["job"]}
    assert answer.json == {**row, "uploads": [row]}
    assert answer.headers["Location"] == f"/v1/jobs/{row['job']}"
    assert cluster.room.kept == {upload_name("default", row["job"], sha256(TEXT)): TEXT}
    job = cluster.client().get(answer.headers["Location"]).json
    assert (job["kind"], job["kb"], job["state"]) == ("upload", "shop", "queued")
    assert job["fields"] == {
        "document": row["document"], "revision": sha256(TEXT), "bytes": len(TEXT)
    }  # fmt: skip
    listed = cluster.client().get(PATH.format(kb="shop")).json
    assert listed["generation"] == 0
    (shown,) = listed["documents"]
    assert (shown["document"], shown["status"]) == (row["document"], "queued")
    one = cluster.client().get(f"{PATH.format(kb='shop')}/{quote(row['document'])}").json
    assert (one["status"], one["revision"], one["text"]) == ("queued", sha256(TEXT), None)


@pytest.mark.parametrize(
    ("kb", "path", "document"),
    [
        ("shop", "a.md", "shop/a.md"),
        ("shop", "b/c.md", "shop/b/c.md"),
        ("shop", "shop/c.md", "shop/c.md"),
        ("default", "a.md", "a.md"),
        ("default", "b/c.md", "default/b/c.md"),
        ("default", "default/c.md", "default/c.md"),
        ("shop", "cafe\u0301.md", "shop/café.md"),
    ],
)
def test_a_path_names_the_document(kb: str, path: str, document: str) -> None:
    answer = upload(FakeCluster(), ("path", path), ("file", (TEXT, "ignored.exe")), kb=kb)
    assert answer.json["document"] == document


def test_several_files_are_a_job_each() -> None:
    cluster = FakeCluster()
    answer = upload(
        cluster,
        ("path", "b/one.md"),
        ("file", (TEXT, "one.md")),
        ("note", "whatever"),
        ("file", (b"", "")),
        ("file", (b"Two.\r\n--xy", r"C:\\papers\\two.md")),
    )
    assert [row["document"] for row in answer.json["uploads"]] == ["shop/b/one.md", "shop/two.md"]
    assert sorted(cluster.room.kept.values()) == sorted([TEXT, b"Two.\r\n--xy"])
    assert len(cluster.jobs.queue) == 2


@pytest.mark.parametrize(
    ("parts", "status", "told"),
    [
        ([], 422, "has no file"),
        ([("path", "a.md")], 422, "has no file"),
        ([("file", (TEXT, "a.exe"))], 422, ".exe files are not supported"),
        ([("file", (TEXT, "README"))], 422, "no ending"),
        ([("file", (TEXT, "a.md")), ("path", "b/a.md")], 422, "names the file behind it"),
        ([("path", "../a.md"), ("file", (TEXT, "a.md"))], 422, "must be relative"),
        ([("path", "/etc/a.md"), ("file", (TEXT, "a.md"))], 422, "must be relative"),
        ([("path", "a//b.md"), ("file", (TEXT, "a.md"))], 422, "must be relative"),
        ([("path", ".git/a.md"), ("file", (TEXT, "a.md"))], 422, "hidden or temporary"),
        ([("file", (TEXT, "~$a.md"))], 422, "hidden or temporary"),
        ([("file", (TEXT, "a\u202eb.md"))], 422, "invisible"),
        ([("path", "x" * 300 + ".md"), ("file", (TEXT, "a.md"))], 413, "255 bytes"),
        ([("path", "d/" * 600 + "a.md"), ("file", (TEXT, "a.md"))], 413, "1024 bytes"),
        ([("path", "x" * 5_000), ("file", (TEXT, "a.md"))], 413, "4096 bytes"),
        ([("file", (TEXT, "a.md")), ("file", (TEXT, "a.md"))], 422, "twice"),
        ([("file", (TEXT, f"{n}.md")) for n in range(51)], 413, "50 files"),
    ],
)
def test_what_is_refused_leaves_nothing(
    parts: list[tuple[str, Any]], status: int, told: str
) -> None:
    cluster = FakeCluster()
    answer = upload(cluster, *parts)
    assert answer.status_code == status
    assert told in answer.json["error"]["message"]
    assert not cluster.room.kept
    assert not cluster.jobs.queue


def test_an_unsupported_ending_is_refused_before_the_bytes_are_read() -> None:
    class Endless:
        sent = 0

        def read(self, size: int = -1) -> bytes:
            head = b'--xyz\r\nContent-Disposition: form-data; name="f"; filename="a.exe"\r\n\r\n'
            piece = b"x" * size if self.sent else head
            self.sent += len(piece)
            return piece

    stream = Endless()
    answer = (
        FakeCluster()
        .client()
        .post(
            PATH.format(kb="shop"),
            environ_overrides={
                "wsgi.input": stream,
                "CONTENT_LENGTH": "50000000",
                "CONTENT_TYPE": FORM,
            },
        )
    )
    assert answer.status_code == 422
    assert stream.sent < 1_000_000


def test_a_file_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DOCUMENT_BYTES_MAX", 1_000)
    cluster = FakeCluster()
    answer = upload(cluster, ("file", (b"x" * 1_001, "a.md")))
    assert (answer.status_code, answer.json["error"]["code"]) == (413, "too_large")
    assert upload(cluster, ("file", (b"x" * 1_000, "a.md"))).status_code == 202
    monkeypatch.setattr(limits, "UPLOAD_BYTES_MAX", 900)
    assert upload(cluster, ("file", (b"x" * 1_000, "a.md"))).status_code == 413


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"--xyz\r\nContent-Disposition: form-data; name=", FORM, 400),
        (b"--xyz\r\nX: y\r\n\r\nabc\r\n--xyz--", FORM, 400),
        (b"abc", "multipart/form-data", 400),
        (b"{}", "application/json", 415),
        (b"abc", "", 415),
    ],
)  # fmt: skip
def test_a_body_that_is_no_form(body: bytes, content_type: str, status: int) -> None:
    answer = (
        FakeCluster().client().post(PATH.format(kb="shop"), data=body, content_type=content_type)
    )
    assert answer.status_code == status


def test_a_form_that_was_cut_off_keeps_nothing() -> None:
    cluster = FakeCluster()
    body = b'--xyz\r\nContent-Disposition: form-data; name="f"; filename="a.md"\r\n\r\nHalf of'
    answer = cluster.client().post(PATH.format(kb="shop"), data=body, content_type=FORM)
    assert answer.status_code == 400
    assert not cluster.room.kept


def test_a_slow_client_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    take = multipart.Received.take

    def slowly(file: multipart.Received, piece: bytes) -> None:
        cluster.clock.sleep(limits.UPLOAD_TIMEOUT_S + 1)
        take(file, piece)

    monkeypatch.setattr(multipart.Received, "take", slowly)
    answer = upload(cluster, ("file", (TEXT, "a.md")))
    assert (answer.status_code, answer.json["error"]["code"]) == (504, "deadline_exceeded")


def test_a_client_that_trickles_is_cut_off_within_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UPLOAD_TIMEOUT_S", 0.1)
    cluster = FakeCluster()
    ended = threading.Event()

    class Connection:
        def shutdown(self, how: int) -> None:
            assert how == socket.SHUT_RD
            cluster.clock.sleep(1)
            ended.set()

    class Stuck:
        def read(self, _size: int = -1) -> bytes:
            assert ended.wait(60), "nobody ended the connection"
            raise OSError("closed")

    answer = cluster.client().post(
        PATH.format(kb="shop"),
        environ_overrides={
            "wsgi.input": Stuck(),
            "gunicorn.socket": Connection(),
            "CONTENT_LENGTH": "50000000",
            "CONTENT_TYPE": FORM,
        },
    )
    assert (answer.status_code, answer.json["error"]["code"]) == (504, "deadline_exceeded")


def test_a_job_of_ones_own_makes_a_repeat_harmless() -> None:
    cluster = FakeCluster()
    first = upload(cluster, ("file", (TEXT, "a.md")), query="?job=mine")
    again = upload(cluster, ("file", (TEXT, "a.md")), query="?job=mine")
    other = upload(cluster, ("file", (b"Else.", "a.md")), query="?job=mine")
    two = upload(cluster, ("file", (TEXT, "a.md")), ("file", (TEXT, "b.md")), query="?job=mine")
    assert first.json == again.json
    assert (other.status_code, two.status_code) == (409, 422)
    assert len(cluster.jobs.queue) == 1


def test_a_full_queue_keeps_no_bytes_and_a_store_that_is_away_takes_no_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "UPLOADS_QUEUED_MAX", 1)
    cluster = FakeCluster()
    assert upload(cluster, ("file", (TEXT, "a.md"))).status_code == 202
    assert upload(cluster, ("file", (TEXT, "b.md"))).status_code == 429
    assert len(cluster.room.kept) == 1
    # Others find a place all the same.
    deleted = cluster.client().delete(f"/v1/knowledge/default/documents/{quote(DOCUMENT)}")
    assert deleted.status_code == 202

    cluster = FakeCluster()
    cluster.room.away = True
    answer = upload(cluster, ("file", (TEXT, "a.md")))
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "unavailable")
    assert not cluster.jobs.queue


@pytest.mark.parametrize("content", [TEXT, b"x" * 200_000])
def test_a_full_disk_is_said_and_not_an_internal_error(
    monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    # A small file is written where its buffer is flushed, or at the latest where it is closed.
    full = partial(Path("/dev/full").open, "wb")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full())
    cluster = FakeCluster()
    answer = upload(cluster, ("file", (content, "a.md")))
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "unavailable")
    assert "No space left" in answer.json["error"]["message"]
    assert not cluster.room.kept


def test_only_so_many_arrive_at_once() -> None:
    slots = UploadSlots(1)
    with slots.slot(), pytest.raises(Overloaded), slots.slot():
        pass
    with slots.slot():
        pass


def test_a_new_revision_shows_beside_the_one_that_is_served() -> None:
    cluster = FakeCluster()
    upload(cluster, ("path", "new.md"), ("file", (TEXT, "x.md")), kb="default")
    fields = {"document": DOCUMENT, "revision": sha256(TEXT), "bytes": 1}
    for job, revision in (("j1", REVISION), ("j2", sha256(TEXT))):
        order = next(iter(cluster.jobs.jobs.values())).order
        cluster.jobs.submit(
            type(order)(job, "upload", "default", "default", {**fields, "revision": revision})
        )
    client = cluster.client()
    rows = client.get(PATH.format(kb="default")).json["documents"]
    assert [(row["document"], row["status"]) for row in rows] == [
        ("broken.md", "failed"), ("new.md", "queued"), (DOCUMENT, "indexed")
    ]  # fmt: skip
    assert [row["queued_revision"] for row in rows] == [None, None, sha256(TEXT)]
    queued = client.get(PATH.format(kb="default") + "?status=queued").json["documents"]
    assert [row["document"] for row in queued] == ["new.md"]
    # Without the queue, what is served is listed.
    cluster.jobs.away = True
    assert len(client.get(PATH.format(kb="default")).json["documents"]) == 2


def test_an_older_revision_is_shown_as_it_was() -> None:
    client = FakeCluster().client()
    path = f"{PATH.format(kb='default')}/{quote(DOCUMENT)}"
    old = client.get(f"{path}?revision={OLD_REVISION}").json
    assert (old["text"], old["generation"]) == ("An older text.", GENERATION - 1)
    assert old["passages"] == []
    assert client.get(f"{path}?revision={'0' * 64}").status_code == 404
