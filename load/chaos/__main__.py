"""Runs the failover proof and writes load/results/chaos.json and .md.

    python -m load.chaos [--seconds 600] [--writers 40] [--seed 1] [--faults kill_worker,…]
                         [--store single|sentinel|cluster] [--durability local|replica|fsync]

Ends with 0 only where no promise was broken and at least one kill met a running turn.
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from kotaemon_node.chaos.markdown import markdown
from kotaemon_node.chaos.report import right
from load.chaos.faults import names, usual
from load.chaos.model import PACE
from load.chaos.run import run_scene
from load.chaos.stores import STORES

_RESULTS = Path(__file__).resolve().parents[1] / "results"


def main() -> int:
    """Run as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="for how long faults happen")
    parser.add_argument("--writers", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", default="", help="names, joined by commas; else all usual ones")
    parser.add_argument("--store", default="single", choices=list(STORES))
    parser.add_argument("--durability", default="local", choices=("local", "replica", "fsync"))
    parser.add_argument("--out", type=Path, help="this, .json and .md; load/results/chaos")
    parser.add_argument("--token-ms", type=float, default=PACE["token_ms"], help="of the model")
    parser.add_argument("--log", type=Path, help="keep what clients saw in this file")
    asked = parser.parse_args()
    faults = asked.faults.split(",") if asked.faults else usual(asked.store)
    unknown = sorted(set(faults) - set(names(asked.store)))
    if unknown:
        there = ", ".join(names(asked.store))
        parser.error(f"no such fault: {', '.join(unknown)}; store {asked.store} has {there}")
    # Whoever stops the run must not leave its cluster behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    found = run_scene(
        seed=asked.seed,
        clients=asked.writers,
        seconds=asked.seconds,
        faults=faults,
        tell=_tell,
        log=asked.log,
        pace={**PACE, "token_ms": asked.token_ms},
        kind=asked.store,
        durability=asked.durability,
    )
    suffix = "" if asked.store == "single" else f"-{asked.store}"
    out: Path = asked.out or _RESULTS / f"chaos{suffix}"
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    out.with_suffix(".json").write_text(text, "utf-8")
    report = markdown(found, made_by="make chaos")
    out.with_suffix(".md").write_text(report, "utf-8")
    print(report)
    return 0 if right(found) else 1


def _tell(line: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
