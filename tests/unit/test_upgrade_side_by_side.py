"""The run that puts two versions side by side: its order, and when it shows nothing."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from load.upgrade.course import COORDINATOR, course
from load.upgrade.programs import NoSuchCommit, Program, Switch
from load.upgrade.report import report
from load.upgrade.run import right

PROGRAM = "import os, kotaemon_node; print(kotaemon_node.__version__, os.environ['PYTHONPATH'])"


def program(name: Any, folder: Path) -> Program:
    """Return a program that is nothing but its version."""
    package = folder / name / "kotaemon_node"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f'__version__ = "1.0+{name}"\n')
    return Program(name, "0000000", folder / name)


def test_workers_are_first_on_the_way_there_and_last_on_the_way_back() -> None:
    steps = list(course(3))

    ways = [steps[:4], steps[4:8], steps[8:]]
    assert [{step.to for step in way} for way in ways] == [{"new"}, {"old"}, {"new"}]
    assert ways[0][-1].process == ways[1][0].process == ways[2][-1].process == COORDINATOR
    for way in ways:
        workers = [step for step in way if step.process != COORDINATOR]
        assert [step.process for step in workers] == ["worker-0", "worker-1", "worker-2"]
        assert set(Counter(step.how for step in workers)) == {"restart", "kill"}


def started(switch: Switch, *, supervised: bool) -> str:
    """Return what a new process says of itself."""
    marks = {"SUPERVISOR_PROCESS_NAME": "worker-0"} if supervised else {}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd="/",
        env={**os.environ, **switch.settings(), **marks},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_what_starts_is_what_the_switch_says_and_stays_it(tmp_path: Path) -> None:
    old, new = program("old", tmp_path), program("new", tmp_path)
    switch = Switch(tmp_path, old)

    assert started(switch, supervised=True).startswith("1.0+old ")
    switch.to(new)
    said = started(switch, supervised=True)

    assert said.startswith("1.0+new ")
    assert str(new.path) in said  # what it starts itself is of its version
    assert str(switch.path) not in said
    # supervisord hands its own environment out: there the path still leads on.
    assert str(switch.path) in started(switch, supervised=False)


def test_an_older_version_says_that_it_is_old(tmp_path: Path) -> None:
    taken = Program.of_commit("old", "HEAD", tmp_path)

    text = (taken.path / "kotaemon_node" / "__init__.py").read_text()
    assert '+old"' in text
    assert (taken.path / "coordinator").is_dir()


def test_a_commit_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoSuchCommit, match="no-such-commit"):
        Program.of_commit("old", "no-such-commit", tmp_path)


def result(**changes: Any) -> dict[str, Any]:
    """Return the figures of a run in which all is well."""
    return {
        "old": "a", "commit": "b", "machine": "m", "load": 1.0, "workers": 3, "writers": 2,
        "pace": {"token_ms": 30}, "seed": 1, "side_by_side_s": 1, "settings": {}, "seconds": 1.0,
        "effects": 1, "steps": [], "violations": [], "failures": [], "reader_problems": [],
        "turns": {"sent": 2, "outcomes": {"done": 2}, "answered_first_time_percent": 100},
        "crossings": {"old to new": 1, "new to old": 1},
        **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"violations": ["lost"]},
        {"failures": ["worker-1 to old: not within 120 s"]},
        {"reader_problems": ["a gap"]},
        {"turns": {**result()["turns"], "outcomes": {"done": 1, "failed internal": 1}}},
        {"crossings": {"old to new": 3, "old to old": 2}},
        {"crossings": {"new to old": 3}},
    ],
    ids=["violation", "failure", "reader", "failed", "never back", "never there"],
)
def test_a_run_that_shows_it_not_is_not_right(changes: dict[str, Any]) -> None:
    assert right(result())
    assert "**As it should be**" in report(result())
    assert not right(result(**changes))
    assert "**Not as it should be**" in report(result(**changes))
