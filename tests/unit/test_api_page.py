"""The page's files: right types, nothing outside the folder, kept by browsers until they change."""

import gzip
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kotaemon_node.api import page
from kotaemon_node.api.packing import FOR_EVER
from kotaemon_node.domain.knowledge import DocumentEntry
from kotaemon_node.local.places import sample_folder
from tests.fakes.refusals import assert_refused
from tests.fakes.services import FakeCluster

SAMPLE = sample_folder() / "knowledge"


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of its own, with a secret beside it."""
    folder = tmp_path / "web"
    (folder / "assets" / "deep").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>t</title>")
    (folder / "assets" / "app.js").write_text("export {};")
    (folder / "assets" / "deep" / "style.css").write_text("p {}")
    (folder / "assets" / "notes.md").write_text("not for browsers")
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setattr(page, "WEB_DIR", folder)
    return folder


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/assets/app.js", "text/javascript; charset=utf-8"),
        ("/assets/deep/style.css", "text/css; charset=utf-8"),
    ],
)
@pytest.mark.usefixtures("web")
def test_files_come_with_their_type_and_a_closed_policy(path: str, media_type: str) -> None:
    answer = FakeCluster().client().get(path)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == media_type
    policy = answer.headers["Content-Security-Policy"].split("; ")
    if path == "/":
        assert {"default-src 'self'", "object-src 'none'", "frame-ancestors 'none'"} <= set(policy)
    else:
        assert policy == ["default-src 'none'"]
    assert not any("unsafe" in rule or "*" in rule for rule in policy)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_browser_keeps_a_file_until_it_changes(web: Path) -> None:
    client = FakeCluster().client()
    first = client.get("/assets/app.js")
    known = {"If-None-Match": first.headers["ETag"]}

    same = client.get("/assets/app.js", headers=known)
    (web / "assets" / "app.js").write_text("export const changed = true;")
    changed = client.get("/assets/app.js", headers=known)

    assert first.headers["Cache-Control"] == "no-cache"
    assert (same.status_code, same.data) == (304, b"")
    assert (changed.status_code, changed.data) == (200, b"export const changed = true;")


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../secret.txt",
        "/assets/../index.html",
        "/assets//etc/hostname.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets/..\\..\\secret.txt",
        "/assets/deep",
        "/assets/",
        "/assets/none.js",
        "/assets/a\x00.js",
        "/assets/notes.md",
        "/assets/" + "x" * 5_000 + ".js",
        "/index.html",
        "/assets/con.js/../../index.html",
    ],
)
@pytest.mark.usefixtures("web")
def test_nothing_else_can_be_fetched(path: str) -> None:
    answer = FakeCluster().client().get("/", environ_overrides={"PATH_INFO": path})

    assert_refused(answer, 404, "not_found")


def test_the_page_that_we_ship_is_served_whole() -> None:
    shipped = [file for file in (page.WEB_DIR / "assets").rglob("*") if file.is_file()]
    client = FakeCluster().client()

    assert client.get("/").status_code == 200
    for file in shipped:
        path = f"/assets/{file.relative_to(page.WEB_DIR / 'assets').as_posix()}"
        answer = client.get(path)
        assert (answer.status_code, answer.data) == (200, file.read_bytes()), path


def test_a_page_names_files_that_may_be_kept_for_ever() -> None:
    client = FakeCluster().client()

    named = re.findall(r'"(/assets/v-[0-9a-f]{12}/[^"]+)"', client.get("/").text)

    assert len(named) > 50
    assert '"/assets/' not in client.get("/").text.replace('"/assets/v-', "")
    answer = client.get(named[-1])
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, FOR_EVER)


def test_example_questions_are_offered_where_the_sample_answers_them() -> None:
    assert offers_examples(sample())


def test_example_questions_are_not_offered_over_other_documents() -> None:
    rows = sample()
    without = [row for row in rows if row.document != "returns.md"]
    own = [replace(rows[0], document=f"{number}.md") for number in range(100)]

    assert not offers_examples(without)
    assert not offers_examples([replace(row, status="failed") for row in rows])
    assert not offers_examples([*rows, *own])


def sample() -> list[DocumentEntry]:
    """Return the sample shop's documents as a generation holds them."""
    _, good = FakeCluster().knowledge.current.documents
    return [replace(good, document=file.name) for file in SAMPLE.iterdir() if file.is_file()]


def offers_examples(documents: Sequence[DocumentEntry]) -> bool:
    """Say whether the page of a pod that serves these documents offers example questions."""
    cluster = FakeCluster()
    cluster.knowledge.current = replace(cluster.knowledge.current, documents=tuple(documents))
    return "data-examples" in cluster.client().get("/").text


@pytest.mark.usefixtures("web")
def test_a_page_of_another_version_gets_what_there_is_and_does_not_keep_it() -> None:
    answer = FakeCluster().client().get("/assets/v-0123456789ab/app.js")

    assert (answer.status_code, answer.text) == (200, "export {};")
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("name", ["../../secret.txt", "/etc/hostname.txt", "../index.html", "x.js"])
def test_a_version_opens_nothing_else(name: str) -> None:
    path = f"/assets/v-0123456789ab/{name}"

    answer = FakeCluster().client().get("/", environ_overrides={"PATH_INFO": path})

    assert_refused(answer, 404, "not_found")


@pytest.mark.parametrize("path", ["/", "/assets/vendor/marked.js", "/assets/style/base.css"])
def test_texts_are_compressed_for_those_who_take_that(path: str) -> None:
    client = FakeCluster().client()
    plain = client.get(path)

    small = client.get(path, headers={"Accept-Encoding": "gzip, br"})

    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == plain.data
    assert len(small.data) < 0.5 * len(plain.data)
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert small.headers["ETag"] == plain.headers["ETag"]
    again = client.get(path, headers={"If-None-Match": small.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_font_is_sent_as_it_is() -> None:
    answer = (
        FakeCluster()
        .client()
        .get("/assets/vendor/inter-latin.woff2", headers={"Accept-Encoding": "gzip"})
    )

    assert "Content-Encoding" not in answer.headers
