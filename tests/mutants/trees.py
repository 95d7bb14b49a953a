"""Making a mutant and letting it run, in a tree of its own."""

import json
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.mutants.acting import ActingMutant
from tests.mutants.catalogue import Change, Mutant

ROOT: Final = Path(__file__).resolve().parents[2]
TREE: Final = ("kotaemon_node", "coordinator", "load", "tests", "sample")
SECONDS: Final = 40
RUN_S: Final = 400


def planted(changes: Sequence[Change], tree: Path) -> None:
    """Copy the tree to ``tree`` and change it; ``ValueError`` where a text does not stand once."""
    for name in TREE:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    (tree / ".models").symlink_to(ROOT / ".models")
    for change in changes:
        text = (tree / change.file).read_text("utf-8")
        if text.count(change.old) != 1:
            raise ValueError(f"{change.file} has changed: {change.old!r}")
        (tree / change.file).write_text(text.replace(change.old, change.new), "utf-8")


def run(mutant: Mutant, folder: Path) -> Mapping[str, Any]:
    """Disturb the mutant and return its row of the table; ``RuntimeError`` without a report.

    ``folder`` holds its tree afterwards.
    """
    tree, out = folder / "tree", folder / "chaos"
    planted(mutant.changes, tree)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "load.chaos", "--seconds", str(SECONDS)),
            *("--writers", str(mutant.writers), "--faults", mutant.faults),
            *("--token-ms", str(mutant.token_ms), "--out", str(out)),
        ],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    if not out.with_suffix(".json").exists():
        raise RuntimeError(f"{mutant.name}: no report\n{done.stdout}{done.stderr}")
    found = json.loads(out.with_suffix(".json").read_text("utf-8"))
    return {
        "mutant": mutant.name,
        "faults": mutant.faults.split(","),
        "seconds": found["seconds"],
        "writers": mutant.writers,
        "turns": found["turns"]["sent"],
        "hits": found["kills"]["turns_hit"],
        "takeovers_seen": found["readers"]["taken_over"],
        "red": dict(sorted(Counter(one.partition(":")[0] for one in found["violations"]).items())),
        "violations": len(found["violations"]),
        "example": found["violations"][0][:300] if found["violations"] else "",
        "missed": [one["text"] for one in found["promises"] if one["binds"] and not one["met"]],
        "reader_problems": len(found["reader_problems"]),
        "survives": mutant.survives,
        "story": mutant.story,
    }


def found_by(mutant: ActingMutant, folder: Path) -> Sequence[str]:
    """Return the tests that find the mutant out; ``RuntimeError`` where none could be run.

    ``folder`` holds its tree afterwards.
    """
    planted(mutant.changes, tree := folder / "tree")
    return failed(mutant.tests, tree, at_most=3)


def failed(tests: str, tree: Path, *, at_most: int = 1) -> Sequence[str]:
    """Return the first of ``tests`` that fail in ``tree``; ``RuntimeError`` where none ran."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-rfE", "--timeout=90"),
            *(f"--maxfail={at_most}", "-m", "not long", *shlex.split(tests)),
        ],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"{tests}: pytest ended with {done.returncode}\n{done.stdout}")
    told = [line.split() for line in done.stdout.splitlines()]
    return [words[1] for words in told if words and words[0] in {"FAILED", "ERROR"}]
