"""The page of results names every file that a measure keeps."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "load" / "results"
ROW = re.compile(
    r"^\| (?:\[([\w.-]+)\]\(([\w.-]+\.md)\)|([\w.-]+) \(not run yet: `(.+)`\)) \| (.+) \|$", re.M
)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
LINKED_FROM = [
    ROOT / "README.md",
    ROOT / "README.zh.md",
    *ROOT.glob("docs/**/*.md"),
    *RESULTS.glob("*.md"),
]


def test_every_results_file_is_named_with_a_line_of_what_it_shows() -> None:
    rows = ROW.findall((RESULTS / "README.md").read_text("utf-8"))
    linked = {file for _, file, *_ in rows if file}
    awaited = {f"{name}.md" for _, _, name, *_ in rows if name}
    there = {path.name for path in RESULTS.glob("*.md")} - {"README.md"}

    assert not there & awaited, "it was run: link it"
    assert linked == there, "write a line of what it shows, or by what command it will be made"
    assert all(len(shows) > 10 for *_, shows in rows)


@pytest.mark.parametrize("page", LINKED_FROM, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_leads_to_a_file_that_is_not_there(page: Path) -> None:
    dead = [to for to in LINK.findall(page.read_text("utf-8")) if not (page.parent / to).exists()]
    assert dead == [], "where a command makes it later, name the command and do not link"


def test_every_report_for_people_has_its_figures_for_programs() -> None:
    for path in RESULTS.glob("*.md"):
        named = re.findall(r"`([\w.-]+\.json)`", path.read_text("utf-8"))
        of_its_own = path.with_suffix(".json").name
        there = [name for name in (of_its_own, *named) if (RESULTS / name).exists()]
        assert path.name == "README.md" or there, path.name
