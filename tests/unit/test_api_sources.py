"""Opening a citation: as JSON, as a page for people, and what caches may keep of it."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from kotaemon_node.api.source_page import AROUND_CHARS_MAX, source_page
from kotaemon_node.domain.errors import Withdrawn
from kotaemon_node.domain.knowledge import Source
from tests.fakes.knowledge_base import DOCUMENT, GENERATION, PASSAGE, REVISION, TEXT
from tests.fakes.services import FakeCluster

SOURCE = f"/v1/sources/default/{GENERATION}/{PASSAGE.id}"
START, END = PASSAGE.span
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Seen(HTMLParser):
    """What a browser makes of a page: its text, and what is marked."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.document = ""
        self.marked: list[str] = []
        self.target = -1
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(dict(attrs).get("class") or tag)
        if tag == "mark":
            self.marked.append("")
            if ("id", "cited") in attrs:
                self.target = len(self.marked) - 1

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "document" in self.open:
            self.document += data
        if "mark" in self.open:
            self.marked[-1] += data


def source(text: str, span: tuple[int, int], title: str = "T") -> Source:
    return Source("default", 3, "d.md", "r" * 64, title, text, span)


def test_a_citation_opens_its_document_and_may_be_kept_for_a_while() -> None:
    client = FakeCluster().client()

    answer = client.get(SOURCE)
    again = client.get(SOURCE, headers={"If-None-Match": answer.headers["ETag"]})

    assert answer.status_code == 200
    assert answer.json == {
        "id": PASSAGE.id,
        "kb": "default",
        "generation": GENERATION,
        "document": DOCUMENT,
        "revision": REVISION,
        "title": "Returns",
        "span": list(PASSAGE.span),
        "text": TEXT,
        "quotes": [],
    }
    kept = "public, max-age=300, must-revalidate, immutable"
    assert answer.headers["Cache-Control"] == again.headers["Cache-Control"] == kept
    assert "Accept" in answer.headers["Vary"]
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == answer.headers["ETag"]


@pytest.mark.parametrize(
    ("auth_mode", "kept_s", "told"),
    [
        ("open", 0, "public, no-cache"),
        ("open", 60, "public, max-age=60, must-revalidate, immutable"),
        ("keys", 60, "private, max-age=60, must-revalidate, immutable"),
    ],
)
def test_for_how_long_is_a_setting_and_what_needs_a_key_is_kept_by_its_holder_alone(
    auth_mode: str, kept_s: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster()
    services = replace(cluster.services(), auth_mode=auth_mode, source_cache_s=kept_s)
    monkeypatch.setattr("kotaemon_node.api.sources.services", lambda: services)

    assert cluster.client().get(SOURCE).headers["Cache-Control"] == told


@pytest.mark.parametrize("headers", [{}, BROWSER])
def test_after_a_purge_who_kept_it_is_told_when_asking_again(headers: dict[str, str]) -> None:
    cluster = FakeCluster()
    kept = cluster.client().get(SOURCE, headers=headers)
    cluster.knowledge.source = _withdrawn  # type: ignore[method-assign]

    answer = cluster.client().get(
        SOURCE, headers={**headers, "If-None-Match": kept.headers["ETag"]}
    )

    assert answer.status_code == 410
    assert answer.headers["Cache-Control"] == "no-store"
    assert "withdrawn" in answer.text
    assert TEXT not in answer.text


def _withdrawn(kb: str, generation: int, passage: str) -> Source:
    raise Withdrawn("the document was withdrawn")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/sources/default/{GENERATION}/unknown", 404),
        (f"/v1/sources/unknown/{GENERATION}/{PASSAGE.id}", 404),
        (f"/v1/sources/default/99/{PASSAGE.id}", 404),
        (f"/v1/sources/default/x/{PASSAGE.id}", 400),
        (f"/v1/sources/default/-1/{PASSAGE.id}", 400),
        (f"/v1/sources/default/{'9' * 5000}/{PASSAGE.id}", 400),
        (f"/v1/sources/default/{GENERATION}/a%20b", 400),
        (f"/v1/sources/default/{GENERATION}/..", 400),
        (f"{SOURCE}?quote=1", 422),
        (f"{SOURCE}?quote=a-b", 422),
        (f"{SOURCE}?quote={'9' * 5000}-{'9' * 5001}", 422),
        (f"{SOURCE}?quote=" + ",".join(f"{START + at}-{START + at + 1}" for at in range(9)), 422),
        (f"{SOURCE}?quote={START}-{START}", 404),
        (f"{SOURCE}?quote={START - 1}-{END}", 404),
        (f"{SOURCE}?quote={START}-{END + 1}", 404),
        (f"{SOURCE}?quote={START + 2}-{START + 4},{START + 3}-{START + 5}", 404),
    ],
)
@pytest.mark.parametrize("headers", [{}, BROWSER])
def test_a_citation_that_opens_nothing_is_not_kept(
    path: str, status: int, headers: dict[str, str]
) -> None:
    answer = FakeCluster().client().get(path, headers=headers)

    assert answer.status_code == status
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "application/json, text/html"])
def test_programs_get_json_with_the_places_that_they_named(accept: str) -> None:
    quotes = [[START, START + 3], [START + 5, END]]
    named = ",".join(f"{first}-{last}" for first, last in quotes)

    answer = FakeCluster().client().get(f"{SOURCE}?quote={named}", headers={"Accept": accept})

    assert answer.json is not None
    assert answer.json["quotes"] == quotes


def test_a_browser_gets_a_page_with_the_place_marked_and_without_scripts() -> None:
    client = FakeCluster().client()

    answer = client.get(f"{SOURCE}?quote={START + 4}-{END}", headers=BROWSER)

    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    seen = Seen(answer.text)
    assert seen.document == TEXT
    assert seen.marked == [TEXT[START + 4 : END]]
    assert seen.target == 0
    assert "script" not in seen.tags
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["ETag"] != client.get(SOURCE).headers["ETag"]
    for fact in ("Returns", DOCUMENT, f"generation {GENERATION}", REVISION[:10]):
        assert fact in answer.text


def test_without_a_place_the_whole_passage_is_marked_and_of_several_the_first_is_in_view() -> None:
    text = "One. Two. Three."
    assert Seen(source_page(source(text, (5, 16)), [])).marked == ["Two. Three."]

    seen = Seen(source_page(source(text, (0, 16)), [(0, 4), (10, 16)]))

    assert (seen.document, seen.marked, seen.target) == (text, ["One.", "Three."], 0)


def test_what_a_document_holds_stays_text() -> None:
    text = 'a <script>alert(1)</script> & "b" </mark></div><img src=x onerror=alert(1)>'
    span = (2, len(text) - 4)

    seen = Seen(source_page(source(text, span, title="<b>T</b>"), [(10, 30)]))

    assert seen.document == text
    assert seen.marked == [text[10:30]]
    assert not {"script", "img", "b"} & set(seen.tags)


def test_spans_count_code_points_and_the_page_speaks_the_documents_language() -> None:
    text = "配送📦时间。标准配送需要𠮷三天。"
    quote = (text.index("标准"), len(text))

    page = source_page(source(text, (0, len(text))), [quote])

    assert Seen(page).marked == ["标准配送需要𠮷三天。"]
    assert '<html lang="zh-CN">' in page
    assert "知识库" in page


def test_of_a_library_only_the_part_around_the_passage_is_shown() -> None:
    text = "a" * (AROUND_CHARS_MAX + 7) + "cited" + "b" * (AROUND_CHARS_MAX + 9)
    start = AROUND_CHARS_MAX + 7

    seen = Seen(source_page(source(text, (start, start + 5)), []))

    assert seen.marked == ["cited"]
    assert len(seen.document) == 2 * AROUND_CHARS_MAX + 5
    assert "document" not in seen.open
