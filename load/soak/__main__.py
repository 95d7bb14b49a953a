"""Lets thousands of connected users ask for hours, and looks whether anything grows.

    python -m load.soak [--hours 12 | --minutes 30] [--users 8000] [--dirty]

Ends with 0 where no answer was wrong or missing and nothing grows, with 1 where something was or
the tree changed meanwhile, and with 2 where it refuses. SIGINT and SIGTERM end it early: what was
seen until then is told and kept.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from load import surroundings
from load.kept import progress
from load.soak.plan import Plan
from load.soak.report import page, write
from load.soak.run import NotRun, soak

_RESULTS = Path(__file__).resolve().parents[1] / "results"
_FILES_A_USER = 2
_FILES_BESIDES = 1_500
"""Questions under way, checks, libraries."""
_CHANGED_SHOWN = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as asked."""
    parser = argparse.ArgumentParser(prog="python -m load.soak", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--hours", type=float, default=12.0)
    length.add_argument("--minutes", type=float)
    parser.add_argument("--users", type=int, default=8_000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two questions")
    parser.add_argument("--fresh", type=float, default=0.1, help="share of questions that are new")
    parser.add_argument("--cuts", type=float, default=1.0, help="of a user's line, each hour")
    parser.add_argument("--turns", type=int, default=30, help="of a session, then it is another")
    parser.add_argument("--ttl", type=int, default=900, help="seconds that a session is kept then")
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--look", type=float, default=10.0, help="seconds between two looks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dirty", action="store_true", help="run any tree; keeps nothing")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    asked = parser.parse_args(arguments)
    seconds = asked.minutes * 60 if asked.minutes is not None else asked.hours * 3_600
    least = (asked.users, asked.workers, asked.turns, asked.ttl, asked.documents)
    if min(least) < 1 or min(seconds, asked.every, asked.look) <= 0:
        parser.error("users, workers, turns, documents and all times are more than nothing")
    try:
        if not asked.dirty:
            surroundings.refuse_dirty()
        _enough_files(asked.users)
    except (surroundings.DirtyTree, TooFewFiles) as refused:
        print(refused)
        return 2
    plan = Plan(
        port=0,  # the cluster's, which is not there yet
        users=asked.users,
        seconds=seconds,
        every_s=asked.every,
        documents=asked.documents,
        fresh=asked.fresh,
        cuts_per_hour=asked.cuts,
        turns=asked.turns,
        session_ttl_s=asked.ttl,
        seed=asked.seed,
    )
    try:
        results, looks = soak(plan, workers=asked.workers, look_s=asked.look, tell=progress)
    except NotRun as error:
        print(error)
        return 1
    print(page(results))
    changed = [] if asked.dirty else _changed_since(results["commit"])
    if not asked.dirty:
        write(results, looks, _aside(changed) if changed else asked.out)
    return 1 if results["wrong"] or results["stopped_early"] or changed else 0


def _changed_since(commit: str) -> list[str]:
    try:
        return surroundings.changed_since(commit)
    except (OSError, subprocess.CalledProcessError) as error:
        return [f"what changed is not known: {error}"]


def _aside(changed: Sequence[str]) -> Path:
    """Tell that what ran at last is not what was there at first; return where figures go then."""
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(
        "The tree changed while it ran, so these figures are of no commit:\n  "
        + "\n  ".join(changed[:_CHANGED_SHOWN])
        + f"\nThey are kept in {folder}, and not with the results."
    )
    return folder


class TooFewFiles(Exception):
    """A process may not have as many connections as so many users are."""


def _enough_files(users: int) -> None:
    """Raise ``TooFewFiles`` where the balancer could not hold the lines of so many users."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = users * _FILES_A_USER + _FILES_BESIDES
    if allowed != resource.RLIM_INFINITY and wanted > allowed:
        raise TooFewFiles(
            f"{users:,} users take {wanted:,} open files of HAProxy, and a process may have"
            f" {allowed:,} here (ulimit -Hn). Raise that, or ask for at most"
            f" --users {max(0, (allowed - _FILES_BESIDES) // _FILES_A_USER)}."
        )


if __name__ == "__main__":
    sys.exit(main())
