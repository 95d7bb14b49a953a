"""Runs mutants and keeps what was found in load/results/mutants.json and .md.

    python -m tests.mutants [part of a name …]

Ends with 0 only where each was found out by one of its rules, or is known to survive.
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from load import surroundings
from tests.mutants.catalogue import MUTANTS, Mutant
from tests.mutants.table import TABLE
from tests.mutants.trees import run

AT_ONCE = 2


def main() -> int:
    """Run those whose names hold one of the arguments, or all."""
    parts = sys.argv[1:] or [""]
    chosen = [one for one in MUTANTS if any(part in one.name for part in parts)]
    missed = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in as_completed([pool.submit(_run, mutant) for mutant in chosen]):
            mutant, row = done.result()
            if mutant.rules and not mutant.rules & row["red"].keys():
                missed.append(mutant.name)
                print(f"{mutant.name}: not found out", flush=True)
            TABLE.keep(row)
    return 1 if missed else 0


def _run(mutant: Mutant) -> tuple[Mutant, Mapping[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="kn-mutant-") as folder:
        row = {**run(mutant, Path(folder)), "commit": surroundings.commit(required=False)}
    at = time.strftime("%H:%M:%S")
    print(f"{at} {mutant.name}: {row['red']}; missed {row['missed']}", flush=True)
    return mutant, row


if __name__ == "__main__":
    sys.exit(main())
