"""Runs every measure, one after the other, and writes load/results/.

    python -m load.bench [--only NAME]
    python -m load.bench speed [--only NAME] [--quick]

``speed`` stands by itself: the ratios to the physical limit and to the naive design
(``load.bench.speed``).
``takeover`` runs a whole cluster and kills its pods for about twenty minutes, ``convergence`` for
ten; ``swap`` asks one pod for seven, ``ingest_beside_chat`` for five, ``history`` for two;
``folder`` watches one for two.
``encoders`` and ``answers`` need the
public question sets in the folder that KOTAEMON_TEST_DATA names; without it they are left out, and
that is said. ``million`` needs it too; it builds for a quarter of an hour, and so it is run only by
itself: ``python -m load.bench.million``.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from load.bench.speed.run import main as speed

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
MODELS = HERE.parents[1] / ".models"
WITH_DATA = ("encoders", "answers")
WITH_CLUSTER = ("takeover", "history", "swap", "convergence", "ingest_beside_chat")
WITHOUT_MODELS = ("folder", *WITH_CLUSTER)
MEASURES = ("concurrency", "frames", *WITHOUT_MODELS, *WITH_DATA)


def main() -> int:
    """Return 0 when every measure that could run has run well."""
    if sys.argv[1:2] == ["speed"]:
        return speed(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=MEASURES)
    only = parser.parse_args().only
    data = os.environ.get("KOTAEMON_TEST_DATA", "")
    failed = []
    for name in (only,) if only else MEASURES:
        command = [sys.executable, str(HERE / f"{name}.py"), "--out", str(RESULTS / name)]
        if name in WITH_DATA and not data:
            print(f"- {name}: left out; KOTAEMON_TEST_DATA names no folder of question sets")
            continue
        print(f"→ {name}", flush=True)
        # A cluster finds its models by itself.
        arguments = [] if name in WITHOUT_MODELS else ["--models", str(MODELS)]
        arguments += ["--data", data] if name in WITH_DATA else []
        environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
        if subprocess.run([*command, *arguments], check=False, env=environment).returncode:
            failed.append(name)
    if failed:
        print(f"✗ failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
