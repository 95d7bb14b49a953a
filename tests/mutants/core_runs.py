"""Breaks places of the core, one by one, and keeps what their tests said of it.

    python -m tests.mutants.core_runs [part of a name …]

Writes load/results/core_mutants.json and .md. Ends with 0 only where each was seen, and where the
same tests pass on the tree as it is: a test that fails anyway shows nothing.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from load import surroundings
from tests.mutants.core import CORE_MUTANTS, CoreMutant
from tests.mutants.kept_rows import KeptRows, Row
from tests.mutants.trees import ROOT, failed, planted

_KEPT: Final = ROOT / "load" / "results" / "core_mutants"


def row_of(mutant: CoreMutant, tree: Path) -> Row:
    """Break the place in ``tree``, which is as it was afterwards, and return what was seen."""
    file = tree / mutant.change.file
    whole = file.read_text("utf-8")
    if whole.count(mutant.change.old) != 1:
        raise ValueError(f"{mutant.change.file} has changed: {mutant.change.old!r}")
    began_s = time.monotonic()
    try:
        _write(file, whole.replace(mutant.change.old, mutant.change.new))
        red = failed(mutant.tests, tree)
    finally:
        _write(file, whole)
    return {
        "area": mutant.area,
        "mutant": mutant.name,
        "file": mutant.change.file,
        "tests": mutant.tests,
        "red": red,
        "seconds": round(time.monotonic() - began_s, 1),
        "commit": surroundings.commit(required=False),
    }


def _write(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
    # Made within the same second and as long, it would be taken for what was compiled before.
    Path(cache_from_source(str(file))).unlink(missing_ok=True)


def shown(rows: Sequence[Row]) -> str:
    """Return the table for people."""
    found = sum(bool(row["red"]) for row in rows)
    lines = [
        f"# {len(rows)} broken places of the core",
        "",
        "Made by `python -m tests.mutants.core_runs`: each place is broken once, in a copy of the",
        "tree, and the short tests named for it are run; the same tests pass on the tree as it is.",
        "What was changed stands in `tests/mutants/core.py`.",
        "",
        f"**{found} of {len(rows)} are seen.**",
        "",
        "| area | broken | file | seen by | s | commit |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        seen = f"`{row['red'][0]}`" if row["red"] else "**nothing**"
        where = f"`{Path(row['file']).name}`"
        cells = (row["area"], row["mutant"], where, seen, f"{row['seconds']:g}", row["commit"])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


TABLE: Final = KeptRows(_KEPT, [mutant.name for mutant in CORE_MUTANTS], shown)


def main() -> int:
    """Run those whose names hold one of the arguments, or all."""
    parts = sys.argv[1:] or [""]
    chosen = [one for one in CORE_MUTANTS if any(part in one.name for part in parts)]
    survivors = []
    with tempfile.TemporaryDirectory(prefix="kn-core-") as folder:
        planted((), tree := Path(folder) / "tree")
        for tests in dict.fromkeys(mutant.tests for mutant in chosen):
            if red := failed(tests, tree):
                print(f"{tests} fails as it is: {red}", flush=True)
                return 1
        for mutant in chosen:
            row = row_of(mutant, tree)
            TABLE.keep(row)
            print(f"{row['seconds']:5g} s  {mutant.name}: {row['red'] or 'SURVIVES'}", flush=True)
            survivors += [] if row["red"] else [mutant.name]
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
