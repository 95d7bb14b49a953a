"""One connection that many tasks share, against a real Redis: see ``tests.link_cases``."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[1] / "link_cases.py"
_LONG = {"what_comes_late_is_nobodys"}


def _cases() -> list[str]:
    # Importing the module would patch this process.
    tree = ast.parse(_SCRIPT.read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [
        one.name
        for one in functions
        if [argument.arg for argument in one.args.args] == ["server", "store"]
    ]


@pytest.mark.parametrize(
    "case",
    [pytest.param(name, marks=pytest.mark.long if name in _LONG else ()) for name in _cases()],
)
def test_link(case: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.link_cases", case],
        cwd=_SCRIPT.parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_there_are_cases() -> None:
    assert len(_cases()) == 12
