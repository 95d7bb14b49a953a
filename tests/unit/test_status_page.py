"""The page of all promises names what is there, once each, with figures of the files it links."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from scripts import status
from scripts.result_figures import RESULTS, ROOT
from scripts.status import PAGE, STATES, Row, changed, commit_of, counts, outcomes, rows

ROWS = rows(PAGE.read_text("utf-8"))
REQUIREMENTS = {
    *(f"{letter}{number}" for letter, last in zip("ABCDE", (13, 11, 8, 8, 8), strict=True)
      for number in range(1, last + 1)),
}  # fmt: skip
EACH = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
ROW = Row(
    "A1", "Holds", "`tests/unit/test_a.py::test_b`, `tests/unit/test_c.py`", "passed", "–", ""
)


@cache
def _functions(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_every_requirement_has_its_rows_each_number_once() -> None:
    ids = [row.id for row in ROWS]

    assert max(Counter(ids).values()) == 1
    assert {one.partition(".")[0] for one in ids if not one.startswith("G")} == REQUIREMENTS
    for whole in REQUIREMENTS:
        parts = [one for one in ids if one.partition(".")[0] == whole]
        assert parts in ([whole], [f"{whole}.{n}" for n in range(1, len(parts) + 1)]), whole


@EACH
def test_what_a_row_names_is_there(row: Row) -> None:
    assert row.commands, "by what is it shown?"
    for command in row.commands:
        if command.startswith("tests/"):
            file, _, name = command.partition("::")
            assert (ROOT / file).is_file(), command
            assert not name or name in _functions(ROOT / file), command
        elif command.startswith("make "):
            assert command.split()[1] in TARGETS, command
        else:
            module, *rest = command.removeprefix("python -m ").split()
            path = ROOT / module.replace(".", "/")
            assert command.startswith("python -m "), command
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), command
            if rest:
                assert (path / f"{rest[-1]}.py").is_file(), command


@EACH
def test_a_row_stands_as_it_says(row: Row) -> None:
    assert row.state in STATES
    assert not row.result.startswith("failed"), "mend it, or say that it is not reached"
    if row.state != "shown":
        assert len(row.result.removeprefix("passed")) > 20, "say why"
    assert re.fullmatch(r"–|`[0-9a-f]{7,}(-dirty)?`, \d{4}-\d\d-\d\d", row.at), row.at


@EACH
def test_figures_are_of_the_commit_of_their_file(row: Row) -> None:
    for name in row.results:
        assert (RESULTS / f"{name}.json").is_file(), name
    if row.results and not row.tests:
        told = re.findall(r"`([^`]+)`", row.at)
        assert told == [commit_of(row.results[0])], "look at the figures; python -m scripts.status"


@EACH
def test_what_was_run_meanwhile_is_told(row: Row) -> None:
    for command in row.commands:
        name = command.removeprefix("make ")
        if command.startswith("make ") and (RESULTS / f"{name}.json").exists():
            assert name in row.results, "it was run: say what came of it, and link it"


def test_how_many_stand_how_is_counted() -> None:
    assert counts(ROWS) in PAGE.read_text("utf-8"), "python -m scripts.status"


def test_what_came_of_tests_is_written_into_their_rows(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="tests.unit.test_a" name="test_b[1]"/>'
        '<testcase classname="tests.unit.test_a" name="test_b[2]"><skipped/></testcase>'
        '<testcase classname="tests.unit.test_c" name="test_d"/>'
        "</testsuite></testsuites>"
    )
    ended = outcomes(report)

    now = status.tested(ROW, ended, "`abc1234`, 2026-01-02")

    assert (now.result, now.at) == ("passed (2)", "`abc1234`, 2026-01-02")
    ended["tests/unit/test_c.py::test_d"]["failed"] = 1
    assert status.tested(now, ended, "now").result == "failed (2)"
    assert status.tested(ROW, {"tests/unit/test_c.py::test_d": Counter(passed=1)}, "now") == ROW


def test_rows_are_changed_and_counted_and_all_else_stays() -> None:
    page = (
        "# P\n<!-- counts -->\n\n<!-- end -->\n"
        "| A1 | Holds | `make chaos` | 1 | – | shown |\n| A2 | x | `make run` | 2 | – | weaker |\n"
    )
    now = changed(page, {"A1": rows(page.replace("| 1 |", "| 3 |"))[0]})

    assert "| A1 | Holds | `make chaos` | 3 | – | shown |\n| A2 | x |" in now
    assert "-->\nshown: 1; weaker: 1; not reached: 0; not shown here: 0.\n<!--" in now
    assert changed(now, {}) == now


def test_a_row_that_lost_a_cell_is_named() -> None:
    with pytest.raises(ValueError, match="six cells"):
        status.rows("| A1 | Holds | `make chaos` |\n")
