"""The page of results names every file that a measure keeps."""

import re
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "load" / "results"
MADE_LATER = {"bench.md", "soak.md"}
"""By `make bench` and `make soak`, on a machine that does nothing else."""


def test_every_results_file_is_named_with_a_line_of_what_it_shows() -> None:
    page = (RESULTS / "README.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| \[[\w.-]+\]\(([\w.-]+\.md)\) \| (.+) \|$", page, re.MULTILINE))
    there = {path.name for path in RESULTS.glob("*.md")} - {"README.md"}

    assert there <= rows.keys(), "write a line of what it shows"
    assert rows.keys() <= there | MADE_LATER
    assert all(len(shows) > 10 for shows in rows.values())


def test_every_report_for_people_has_its_figures_for_programs() -> None:
    for path in RESULTS.glob("*.md"):
        named = re.findall(r"`([\w.-]+\.json)`", path.read_text("utf-8"))
        of_its_own = path.with_suffix(".json").name
        there = [name for name in (of_its_own, *named) if (RESULTS / name).exists()]
        assert path.name == "README.md" or there, path.name
