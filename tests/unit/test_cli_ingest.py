"""``kotaemon ingest``: what it sends, what it leaves out, and what it says in the end."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request
from typer.testing import CliRunner
from werkzeug.serving import BaseWSGIServer, make_server

from kotaemon_node.api.app import create_app
from kotaemon_node.cli import ingest as command
from kotaemon_node.cli.ingest_files import find_files
from kotaemon_node.cli.ingest_sending import Form, Refused, Sender
from kotaemon_node.cli.main import app
from kotaemon_node.cli.service import Place, ServiceError
from tests.fakes.knowledge_base import DOCUMENT, TEXT
from tests.fakes.services import FakeCluster


@dataclass
class Site:
    """A scripted pod behind a port: it answers ``busy`` first, and ends jobs when it is asked."""

    cluster: FakeCluster = field(default_factory=FakeCluster)
    busy: list[int] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def app(self) -> Flask:
        made = create_app(self.cluster.services())

        @made.before_request
        def _before() -> Response | None:
            if request.method == "POST" and self.busy:
                return Response(status=self.busy.pop(0), headers={"Retry-After": "0"})
            if request.method == "GET":
                self._end_jobs()
            return None

        return made

    def _end_jobs(self) -> None:
        while (job := self.cluster.jobs.begin("default")) is not None:
            self.taken.append(str(job.order.fields["document"]))
            if "bad" in self.taken[-1]:
                self.cluster.jobs.fail(job, "it is encrypted")
            else:
                self.cluster.jobs.finish(job, {"generation": 8})


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    server: BaseWSGIServer = make_server("127.0.0.1", 0, site.app(), threaded=True)
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield site
    server.shutdown()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "a.md": "One.", "部门/茶杯 指南.md": "二。", ".git/c.md": "x", "b.png": "x", "~$d.md": "x"
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(site: Site, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    words = ["ingest", *map(str, arguments), "--url", site.url, "--json"]
    result = CliRunner().invoke(app, words)
    return result.exit_code, json.loads(
        result.stdout.splitlines()[-1]
    )  # above it are logs of the pod


def test_a_folder_is_sent_and_followed_to_its_end(site: Site, folder: Path) -> None:
    code, said = run(site, folder, "--kb", "shop")
    assert (code, said["sent"], said["indexed"], said["failed"]) == (0, 2, 2, 0)
    assert sorted(site.taken) == ["shop/a.md", "shop/部门/茶杯 指南.md"]
    assert sorted(site.cluster.room.kept.values()) == sorted([b"One.", "二。".encode()])
    assert {Path(row["path"]).name for row in said["left_out_files"]} == {"b.png", "~$d.md"}


def test_what_is_left_out_is_named_by_its_kind(site: Site, folder: Path) -> None:
    result = CliRunner().invoke(app, ["ingest", str(folder), "--url", site.url])
    assert result.exit_code == 0, result.output
    assert "left out: 1 .png, 1 .md; --json says why." in result.output


def test_what_fails_is_told_with_its_reason_and_ends_with_1(site: Site, folder: Path) -> None:
    (folder / "bad.md").write_text("x")
    code, said = run(site, folder, folder / "b.png", folder / "none.md", "--kb", "shop")
    assert (code, said["sent"], said["indexed"], said["failed"]) == (1, 3, 2, 3)
    reasons = {Path(row["document"]).name: row["reason"] for row in said["failures"]}
    assert reasons["bad.md"] == "it is encrypted"
    assert ".png files are not supported" in reasons["b.png"]
    assert reasons["none.md"] == "there is no such file"


def test_what_the_cluster_has_or_has_taken_is_not_sent_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / DOCUMENT
    known.parent.mkdir(parents=True)
    known.write_text(TEXT, encoding="utf-8", newline="")
    (tmp_path / "new.md").write_text("New.")
    (tmp_path / "broken.md").write_text("Mended.")
    # The scripted pod has a document of a name that uploads cannot have.
    monkeypatch.setattr("kotaemon_node.cli.ingest_files.document_of", lambda kb, name: name)
    monkeypatch.setattr("kotaemon_node.cli.ingest._send", lambda *_: None)
    _, said = run(site, tmp_path, "--no-wait")
    assert said["unchanged"] == 1

    monkeypatch.undo()
    monkeypatch.setattr(Site, "_end_jobs", lambda _: None)
    (first, _), (again, said) = [run(site, tmp_path / "new.md", "--no-wait") for _ in range(2)]
    assert (first, again) == (0, 0)
    assert (said["sent"], said["waiting"]) == (0, 1)
    assert len(site.cluster.jobs.queue) == 1


def test_a_busy_cluster_is_asked_again_under_the_same_job(site: Site, folder: Path) -> None:
    site.busy = [429, 503, 502]
    waits: list[float] = []
    sender = Sender(Place(site.url), "shop", sleep=waits.append)
    (file,) = find_files([folder / "a.md"], "shop").files
    told: list[int] = []
    revision, job = sender.send(file, sent=told.append)
    assert revision == hashlib.sha256(b"One.").hexdigest()
    assert [it[1] for it in site.cluster.jobs.queue] == [job]
    assert len(waits) == 3
    assert waits == sorted(waits)
    assert sum(told) == len(b"One.")


def test_a_cluster_that_stays_away_is_given_up(folder: Path) -> None:
    now_s = [0.0]

    def sleep(duration_s: float) -> None:
        now_s[0] += duration_s

    sender = Sender(Place("http://127.0.0.1:9"), "shop", sleep=sleep, now_s=lambda: now_s[0])
    (file,) = find_files([folder / "a.md"], "shop").files
    with pytest.raises(ServiceError, match="No cluster answers"):
        sender.send(file, sent=lambda _: None)
    assert now_s[0] < 700


def test_what_the_cluster_refuses_is_not_repeated(site: Site, folder: Path) -> None:
    site.busy = [422]
    (file,) = find_files([folder / "a.md"], "shop").files
    with pytest.raises(Refused, match="422"):
        Sender(Place(site.url), "shop").send(file, sent=lambda _: None)


def test_names_are_told_apart_before_anything_is_sent(tmp_path: Path) -> None:
    for name in ("one/a.md", "two/a.md"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    found = find_files([tmp_path / "one", tmp_path / "two"], "shop")
    assert [file.document for file in found.files] == ["shop/a.md"]
    assert list(found.failed.values()) == ["another file is to be shop/a.md, too"]


def test_a_form_holds_the_file_and_no_more_than_a_piece_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(b"x" * 1_000)
    told: list[int] = []
    with path.open("rb") as file:
        form = Form(file, 1_000, path="shop/茶.md", sent=told.append)
        pieces = list(iter(lambda: form.read(300), b""))
    assert len(b"".join(pieces)) == form.len
    assert told == [300, 300, 300, 100]
    with path.open("rb") as file:
        short = Form(file, 2_000, path="a.md", sent=told.append)
        with pytest.raises(OSError, match="shorter"):
            list(iter(lambda: short.read(600), b""))


def test_an_illegal_knowledge_base_is_said_before_anybody_is_asked(folder: Path) -> None:
    with pytest.raises(Exception, match="must match"):
        command.ingest([folder], "a b", url="http://127.0.0.1:9")


def test_names_of_any_bytes_are_told_as_text(tmp_path: Path) -> None:
    for name in (b"b\xfcro.md", b"\x1b[31mred.md", b"two\nlines.exe"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x")
    found = find_files([tmp_path], "shop")
    told = {Path(name).name for name in [*found.failed, *found.left_out]}
    assert told == {"b\\udcfcro.md", "\\x1b[31mred.md", "two\\nlines.exe"}
    assert not found.files
