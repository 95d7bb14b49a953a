"""The first tutorial does what it shows, typed as it stands, with a cluster of its own."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kotaemon_node.local.ports import choose_block
from tests.doc_examples import ROOT, examples_of, not_printed, typing_in

PAGE = ROOT / "docs" / "tutorial" / "first-answer.md"
"""Its examples keep files and processes from one to the next, so one shell runs them all."""
_MARK = "@@@ example"
_SECONDS = 540


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    # Where the tutorial ended in its middle.
    kotaemon = tmp_path / ".venv" / "bin" / "kotaemon"
    if (tmp_path / "first" / "data").exists():
        subprocess.run([kotaemon, "down", "--data", "first/data"], cwd=tmp_path, check=False)
    model = tmp_path / "first" / "slow_model.pid"
    if model.exists():
        os.kill(int(model.read_text()), signal.SIGTERM)


@pytest.mark.long  # two starts of a whole cluster
@pytest.mark.timeout(600)
def test_the_tutorial_does_what_it_shows(folder: Path) -> None:
    port, model = choose_block(1), choose_block(1)
    examples = [example for example in examples_of(PAGE) if not example.not_run]
    script = ["set -eu"]
    for example in examples:
        typed = example.code.replace("127.0.0.1:8080", f"127.0.0.1:{port}")
        typed = typed.replace("8099", str(model)).replace("--detach", f"--detach --port {port}")
        script += [f"printf '\\n{_MARK}\\n'", typed]

    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=typing_in(folder),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )

    printed = done.stdout.split(f"\n{_MARK}\n")[1:]
    problems = [
        f"line {example.line}: {missing!r} is not in\n{shown}"
        for example, shown in zip(examples, printed, strict=False)
        for missing in not_printed(example.shown, shown)
    ]
    assert not problems, "\n".join(problems)
    assert done.returncode == 0, f"{len(printed)} examples began\n{done.stderr[-2_000:]}"
    assert len(printed) == len(examples)
    assert not (folder / "first").exists(), "the tutorial leaves something behind"
