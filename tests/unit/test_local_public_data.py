"""A test of public data may skip where nobody named the data, and nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STORIES = """
import pytest

@pytest.mark.data
def test_that_gives_up():
    pytest.skip("the set looks odd")

@pytest.mark.data
def test_that_reads(public_data):
    assert public_data.is_dir()

@pytest.mark.data
@pytest.mark.xfail(reason="known", strict=True)
def test_that_is_known_to_fail():
    assert False

def test_that_skips_for_a_reason_of_its_own():
    pytest.skip("not about data")
"""


def _run(tmp_path: Path, *, data: str) -> str:
    (tmp_path / "test_stories.py").write_text(STORIES)
    arguments = ["-q", "-c", "pyproject.toml", "-p", "tests.conftest", "--rootdir", str(ROOT)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, str(tmp_path / "test_stories.py")],
        cwd=ROOT,
        env={**os.environ, "KOTAEMON_TEST_DATA": data},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("named", "outcome"),
    [(False, "4 skipped"), (True, "1 failed, 1 passed, 1 skipped, 1 xfailed")],
)
def test_skips_are_failures_only_where_the_data_was_named(
    tmp_path: Path, named: bool, outcome: str
) -> None:
    closing_line = _run(tmp_path, data=str(tmp_path) if named else "")

    assert closing_line.startswith(outcome), closing_line
