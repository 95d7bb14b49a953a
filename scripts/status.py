"""Keeps docs/STATUS.md: ``python -m scripts.status [--run [--long]] [--report FILE] [ID …]``.

Its rows are written by hand. From the files in load/results this fills in of which commit and day
a figure is, and how many rows stand how. With ``--run`` it runs the tests that rows name, those of
the rows asked for or all, and writes what came of them; ``--long`` takes those of minutes too.
``--report`` reads that from the file of a run that was made: ``PYTEST_ADDOPTS=--junitxml=FILE``.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final

from lxml import etree

from load import surroundings
from scripts.result_figures import RESULTS, ROOT

PAGE: Final = ROOT / "docs" / "STATUS.md"
STATES: Final = ("shown", "weaker", "not reached", "not shown here")
UNKNOWN: Final = "–"
"""In the place of commit and day: it passed before this page was there, and was not run since."""

_ID: Final = re.compile(r"[A-EG]\d+(?:\.\d+)?")
_COMMIT: Final = r'"commits?": (?:\{\s*"[^"]+": )?"([\w-]+)"|[Cc]ommit ([0-9a-f]{7,}(?:-dirty)?)'
_COUNTS: Final = re.compile(r"(?<=<!-- counts -->\n).*(?=\n<!-- end -->)")


@dataclass(frozen=True)
class Row:
    """A promise, what shows it, its last result, of which commit and day that is; how it stands."""

    id: str
    promise: str
    shown_by: str
    result: str
    at: str
    state: str

    def __str__(self) -> str:
        cells = (self.id, self.promise, self.shown_by, self.result, self.at, self.state)
        return f"| {' | '.join(cells)} |"

    @property
    def commands(self) -> list[str]:
        """Tests (``tests/…``) and commands (``make …``, ``python -m …``) that show it."""
        return re.findall(r"`([^`]+)`", self.shown_by)

    @property
    def tests(self) -> list[str]:
        """Those of the commands that pytest runs."""
        return [command for command in self.commands if command.startswith("tests/")]

    @property
    def results(self) -> list[str]:
        """Names of the files in load/results that it links."""
        return re.findall(r"\]\(\.\./load/results/([\w.-]+)\.md\)", self.result)


def rows(page: str) -> list[Row]:
    """Return the rows of all tables; ``ValueError`` where one has not six cells."""
    found = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and _ID.fullmatch(cells[0]):
            if len(cells) != len(Row.__dataclass_fields__):
                raise ValueError(f"six cells are wanted: {line}")
            found.append(Row(*cells))
    return found


def commit_of(name: str) -> str:
    """Return the commit of a results file; of one that has several, the first."""
    told = re.search(_COMMIT, (RESULTS / f"{name}.json").read_text("utf-8"))
    if told is None:
        raise ValueError(f"load/results/{name}.json names no commit")
    commit, _, dirty = (told[1] or told[2]).partition("-")
    return f"{commit[:7]}-{dirty}" if dirty else commit[:7]


def day_of(*what: str) -> str:
    """Return the day of a commit, or with ``--`` and a file of the newest one that changed it."""
    done = subprocess.run(
        ["git", "log", "--max-count=1", "--format=%cs", *what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def counts(found: Iterable[Row]) -> str:
    """Return in words how many rows stand how."""
    by = Counter(row.state for row in found)
    return "; ".join(f"{state}: {by[state]}" for state in STATES) + "."


def changed(page: str, now: Mapping[str, Row]) -> str:
    """Return the page with these rows in place of those of the same id."""
    lines = page.splitlines()
    for place, line in enumerate(lines):
        known = line.split(" ")[1] if line.startswith("| ") else ""
        if known in now:
            lines[place] = str(now[known])
    text = "\n".join(lines) + "\n"
    return _COUNTS.sub(counts(rows(text)), text)


def refreshed(row: Row) -> Row:
    """Return a row whose figures were measured with the commit of their file, and its day.

    That commit itself may be in no branch any more: the day is that at which the file was kept.
    """
    if row.tests or not row.results:
        return row
    name = row.results[0]
    kept_at = day_of("--", f"load/results/{name}.json") or day_of("HEAD")  # not committed yet
    return replace(row, at=f"`{commit_of(name)}`, {kept_at}")


def outcomes(*reports: Path) -> dict[str, Counter[str]]:
    """Return how the cases of each test ended, by ``tests/….py::test_…``."""
    found: dict[str, Counter[str]] = {}
    reader = etree.XMLParser(resolve_entities=False, no_network=True)
    for case in chain(*(etree.parse(one, reader).iter("testcase") for one in reports)):
        file = case.attrib["classname"].replace(".", "/") + ".py"
        name = case.attrib["name"].partition("[")[0]
        ended = next((child.tag for child in case if child.tag != "properties"), "passed")
        told = "failed" if ended in {"failure", "error"} else ended
        found.setdefault(f"{file}::{name}", Counter())[told] += 1
    return found


def tested(row: Row, ended: Mapping[str, Counter[str]], at: str) -> Row:
    """Return the row with what came of its tests; as it was where one of them did not run."""
    whole: Counter[str] = Counter()
    for test in row.tests:
        ran = [by for name, by in ended.items() if name == test or name.startswith(f"{test}::")]
        if not any(by["passed"] + by["failed"] for by in ran):
            return row
        whole.update(sum(ran, Counter()))
    told = "failed" if whole["failed"] else "passed"
    rest = re.sub(r"^(passed|failed)(?: \(\d+\))?", "", row.result)
    return replace(row, result=f"{told} ({whole['passed']}){rest}", at=at)


def _run(chosen: Sequence[Row], *, long: bool) -> dict[str, Counter[str]]:
    tests = sorted({test for row in chosen for test in row.tests})
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        marks = [] if long else ["-m", "not long"]
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *marks, f"--junitxml={report}", *tests],
            cwd=ROOT,
            check=False,
        )
        return outcomes(report)


def _commit() -> str:
    """Return the commit that is checked out; what this script writes itself makes it no other."""
    own = [f":!{file.relative_to(ROOT)}" for file in (PAGE, RESULTS)]
    asked = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", *own]
    changes = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    commit = surroundings.commit().removesuffix("-dirty")
    return f"{commit}-dirty" if changes else commit


def main() -> int:
    """Bring the page up to date; 1 where a test of it failed."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--run", action="store_true", help="run the tests of rows")
    asked.add_argument("--long", action="store_true", help="those of minutes too")
    asked.add_argument("--report", type=Path, action="append", help="of a run at this commit")
    asked.add_argument("ids", nargs="*", help="as A7.3, A7 or A")
    said = asked.parse_args()
    page = PAGE.read_text("utf-8")
    found = {row.id: refreshed(row) for row in rows(page)}
    if said.run or said.report:
        chosen = [
            row
            for row in found.values()
            if row.tests
            and (not said.ids or {row.id, row.id.partition(".")[0], row.id[0]} & {*said.ids})
        ]
        ended = outcomes(*said.report) if said.report else _run(chosen, long=said.long)
        at = f"`{_commit()}`, {day_of('HEAD')}"
        found |= {row.id: tested(row, ended, at) for row in chosen}
    PAGE.write_text(changed(page, found), "utf-8")
    return int(any(row.result.startswith("failed") for row in found.values()))


if __name__ == "__main__":
    sys.exit(main())
