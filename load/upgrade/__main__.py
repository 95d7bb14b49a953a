"""Puts two versions side by side and writes load/results/upgrade.json and .md.

    python -m load.upgrade --from COMMIT [--to COMMIT] [--writers 20] [--side-by-side 10]
                           [--set NAME=VALUE …]

A cluster of that commit becomes that of this tree, the older one again, and this one again, process
by process, while clients talk. Ends with 0 only where no promise was broken and turns went on from
old to new pods and from new to old ones.
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from load.upgrade.programs import NoSuchCommit
from load.upgrade.report import report
from load.upgrade.run import Wishes, right, run_upgrade

_RESULTS = Path(__file__).resolve().parents[1] / "results"


def main() -> int:
    """Run as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="old", required=True, help="commit or tag to come from")
    parser.add_argument("--to", dest="new", default="", help="commit to go to; this tree")
    parser.add_argument("--writers", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--side-by-side", type=float, default=10.0, help="s after each step")
    parser.add_argument("--set", action="append", default=[], help="a setting, NAME=VALUE")
    parser.add_argument("--out", type=Path, default=_RESULTS / "upgrade", help="this, .json, .md")
    parser.add_argument("--log", type=Path, help="keep what clients saw in this file")
    asked = parser.parse_args()
    # Whoever stops the run must not leave its cluster behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wishes = Wishes(
        old=asked.old,
        new=asked.new,
        clients=asked.writers,
        seed=asked.seed,
        side_by_side_s=asked.side_by_side,
        settings=dict(one.split("=", 1) for one in asked.set),
    )
    try:
        found = run_upgrade(wishes, tell=_tell, log=asked.log)
    except NoSuchCommit as error:
        parser.error(f"--from: {error}")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    asked.out.with_suffix(".json").write_text(text, "utf-8")
    asked.out.with_suffix(".md").write_text(report(found), "utf-8")
    print(report(found))
    return 0 if right(found) else 1


def _tell(line: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
