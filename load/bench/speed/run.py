"""Runs the measures of speed, judges them by their goals, and keeps what came out."""

import argparse
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from load import surroundings
from load.bench.speed import (
    cached,
    durable,
    ingesting,
    peered,
    remembering,
    scaling,
    starting,
    streams,
    throughput,
)
from load.bench.speed.arms import Context, Measured
from load.bench.speed.cores import cores
from load.bench.speed.knowledge import ROOM
from load.bench.speed.processes import busy_elsewhere
from load.bench.speed.report import kept_results, printed, write
from load.surroundings import DirtyTree, refuse_dirty

ROOT: Final = Path(__file__).resolve().parents[3]
RESULTS: Final = ROOT / "load" / "results"

MEASURES: Final[Mapping[str, Callable[[Context], Measured]]] = {
    "throughput": throughput.run,
    "cached": cached.run,
    "history": remembering.run,
    "durable": durable.run,
    "scaling": scaling.run,
    "streams": streams.run,
    "ingest": ingesting.run,
    "start": starting.run,
    "peer": peered.run,
}
_QUICK: Final = {"rounds": 3, "seconds": 2.0, "share": 0.1}


def measure(names: Sequence[str], context: Context) -> dict[str, dict[str, Any]]:
    """Run measures one after the other; return what is kept of each."""
    found = {}
    for name in names:
        context.tell(f"→ {name}")
        began_s = time.perf_counter()
        with busy_elsewhere() as busy:
            measured = MEASURES[name](context)
        found[name] = {
            "measured": measured,
            "took_s": round(time.perf_counter() - began_s, 1),
            "machine_taken_by_others": round(busy["others"], 3),
        }
    return found


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as asked; return 0 when every goal of what was measured is met."""
    parser = argparse.ArgumentParser(prog="python -m load.bench speed", description=__doc__)
    parser.add_argument("--only", choices=[*MEASURES], action="append", help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="few, short rounds; keeps nothing")
    parser.add_argument("--dirty", action="store_true", help="measure any tree; keeps nothing")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=5.0, help="of an arm in a round")
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", type=Path, default=ROOT / ".models")
    parser.add_argument("--room", type=Path, default=ROOM, help="keeps what was built")
    parser.add_argument("--peers", type=Path, help="folder of servers by others, beside ours")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    asked = parser.parse_args(arguments)
    keeps = not (asked.dirty or asked.quick)
    if keeps:
        try:
            refuse_dirty()
        except DirtyTree as refused:
            print(refused)
            return 2
    few = _QUICK if asked.quick else {}
    context = Context(
        cores=cores(),
        models=asked.models.absolute(),
        rounds=int(few.get("rounds", asked.rounds)),
        seconds=float(few.get("seconds", asked.seconds)),
        passages=asked.passages,
        share=float(few.get("share", 1.0)),
        seed=asked.seed,
        room=asked.room,
        peers=asked.peers,
        tell=lambda what: print(f"  {what}", flush=True),
    )
    around = {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "cores": context.cores.told,
        "rounds": context.rounds,
        "seconds": context.seconds,
        "passages": context.passages,
        "seed": context.seed,
    }
    # Whoever ends us ends what we started, too: it would compute on beside the next run.
    signal.signal(signal.SIGTERM, _leave)
    all_there = [name for name in MEASURES if name != "peer" or peered.present(asked.peers)]
    found = measure(asked.only or all_there, context)
    results = kept_results(around, found)
    print(printed(results))
    if keeps:
        refuse_dirty()  # what was measured at last is what was there at first
        write(results, found, out=asked.out)
    return 0 if all(goal["met"] for goal in results["goals"].values()) else 1
