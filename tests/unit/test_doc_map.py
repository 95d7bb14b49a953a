"""The documentation as a whole: no page is an orphan, anchors lead somewhere, names exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doc_examples import ROOT

DOCS = ROOT / "docs"
MAP = DOCS / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
ELSEWHERE = (DOCS / "runbooks", DOCS / "adr")
"""Folders whose pages a page of their own lists."""
LISTS = (DOCS / "how-to" / "observe.md", DOCS / "adr" / "README.md")
_LINK = re.compile(r"\]\((?!https?:)([^)\s]*)\)")
_NAMED = re.compile(r"`([\w./-]+\.(?:py|lua|toml|yaml))`")
_ROOTS = ("", "kotaemon_node", "tests/unit", "tests/contract")
"""Where a name in CONTRIBUTING.md or extend.md begins."""


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that a page links, each with the place in it."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for link in _LINK.findall(text):
        path, _, anchor = link.partition("#")
        yield ((page.parent / path).resolve() if path else page), anchor


def anchors(page: Path) -> set[str]:
    """Return the places of a page as GitHub names them: by its headings."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        found.add(slug)
    return found


def test_no_page_is_an_orphan() -> None:
    mapped = {path for path, _ in links(MAP)}
    for page in LISTS:
        assert page in mapped, page
        mapped |= {path for path, _ in links(page) if path.parent in ELSEWHERE}
    orphans = {page for page in DOCS.rglob("*.md") if page != MAP} - mapped

    assert not orphans, "a reader does not find them: link them in docs/README.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_places_within_pages_are_there(page: Path) -> None:
    missing = [
        f"{path.name}#{anchor}"
        for path, anchor in links(page)
        if anchor and path.suffix == ".md" and path.exists() and anchor not in anchors(path)
    ]

    assert not missing


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/how-to/extend.md"])
def test_files_that_engineers_are_led_to_exist(name: str) -> None:
    named = _NAMED.findall((ROOT / name).read_text("utf-8"))
    gone = [file for file in named if not any((ROOT / it / file).exists() for it in _ROOTS)]

    assert named
    assert not gone


@pytest.mark.parametrize("reader", ["users", "operators", "engineers"])
def test_the_readme_leads_each_reader_to_a_path_of_their_own(reader: str) -> None:
    for readme in ("README.md", "README.zh.md"):
        assert (MAP, f"for-{reader}") in set(links(ROOT / readme)), readme


def test_pictures_speak_to_those_who_do_not_see_them() -> None:
    for page in PAGES:
        for told in re.findall(r"!\[([^\]]*)\]\(", page.read_text("utf-8")):
            assert len(told) > 5, f"{page.name}: a picture without words"
    for picture in (DOCS / "images").glob("takeover*.svg"):
        text = picture.read_text("utf-8")
        assert "<desc" in text
        assert "prefers-color-scheme: dark" in text
