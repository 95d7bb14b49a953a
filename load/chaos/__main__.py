"""Runs the failover proof and writes load/results/chaos.json and .md.

    python -m load.chaos [--seconds 600] [--writers 40] [--seed 1] [--faults kill_worker,…]

Ends with 0 only where no promise was broken and at least one kill met a running turn.
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from load.chaos.faults import FAULTS
from load.chaos.model import PACE
from load.chaos.report import markdown, results, right
from load.chaos.run import run

_RESULTS = Path(__file__).resolve().parents[1] / "results"


def main() -> int:
    """Run as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="for how long faults happen")
    parser.add_argument("--writers", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", default=",".join(FAULTS), help="names, joined by commas")
    parser.add_argument("--out", type=Path, default=_RESULTS / "chaos", help="this, .json and .md")
    parser.add_argument("--token-ms", type=float, default=PACE["token_ms"], help="of the model")
    parser.add_argument("--log", type=Path, help="keep what clients saw in this file")
    asked = parser.parse_args()
    faults = asked.faults.split(",")
    unknown = set(faults) - set(FAULTS)
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    # Whoever stops the run must not leave its cluster behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    found = results(
        run(
            seed=asked.seed,
            clients=asked.writers,
            seconds=asked.seconds,
            faults=faults,
            tell=_tell,
            log=asked.log,
            pace={**PACE, "token_ms": asked.token_ms},
        )
    )
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    asked.out.with_suffix(".json").write_text(text, "utf-8")
    report = markdown(found)
    asked.out.with_suffix(".md").write_text(report, "utf-8")
    print(report)
    return 0 if right(found) else 1


def _tell(line: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
