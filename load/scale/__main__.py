"""What up to a thousand pods ask of Redis, Kafka and HAProxy, by arithmetic over measured costs.

python -m load.scale measure                     # some minutes; keeps load/results/scale.json
python -m load.scale [--turns-per-pod 25 2.5:10] # tables and plots from it, at once

A pod answers some 25 turns a second from its passages with half of a core, and some 2.5 where a
language model writes for ten seconds, 25 answers at a time (docs/how-to/capacity.md): 2.5:10.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from load import surroundings
from load.scale import demand
from load.scale.costs import Costs
from load.scale.measure import PARTS, measure
from load.scale.plot import lines_plot
from load.scale.report import PODS, model_report, sites, sized
from load.scale.saturation import CORE

RESULTS = Path(__file__).parents[1] / "results"


def main(given: Sequence[str] | None = None) -> int:
    """Measure, or compute; returns 0, or 2 where it refuses to measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("model", "measure"), default="model")
    parser.add_argument(
        "--turns-per-pod",
        type=_pace,
        nargs="+",
        default=[(25.0, None), (2.5, 10.0)],
        metavar="TURNS[:SECONDS]",
        help="a second, and how long each lasts; without that, as measured",
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[], help="measure these anew")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--dirty", action="store_true", help="measure any tree; keeps nothing")
    arguments = parser.parse_args(given)
    if arguments.dirty:
        with tempfile.TemporaryDirectory() as folder:
            if (kept := arguments.results / "scale.json").exists():
                shutil.copy(kept, folder)
            return _make(arguments, Path(folder))
    try:
        if arguments.what == "measure":
            surroundings.refuse_dirty()
    except surroundings.DirtyTree as refused:
        print(refused)
        return 2
    return _make(arguments, arguments.results)


def _make(arguments: argparse.Namespace, folder: Path) -> int:
    """Write what was asked for into ``folder``, and print it."""
    if arguments.what == "measure":
        measure(folder / "scale", only=arguments.only)
    path = folder / "scale.json"
    costs = Costs.read(path)
    results = json.loads(path.read_text("utf-8"))
    commits = ", ".join(sorted(set(results["commits"].values())))
    made_from = f"the costs in `scale.json` (commits {commits}; {results['machine']})"
    for rate, turn_s in arguments.turns_per_pod:
        text = model_report(costs, turns_per_pod=rate, turn_s=turn_s, made_from=made_from)
        (folder / f"scale_model_{rate:g}.md").write_text(text, "utf-8")
        for name, plot in plots(costs, rate, turn_s).items():
            (folder / f"scale_{name}_{rate:g}.svg").write_text(plot, "utf-8")
        print(text)
    return 0


def _pace(text: str) -> tuple[float, float | None]:
    """Read how many turns a second a pod answers, and how long each lasts, where that is said."""
    turns, colon, seconds = text.partition(":")
    turn_s = float(seconds) if colon else None
    if float(turns) <= 0 or (turn_s is not None and turn_s <= 0):
        raise ValueError(text)
    return float(turns), turn_s


def plots(costs: Costs, turns_per_pod: float, turn_s: float | None) -> dict[str, str]:
    """Return name to plot."""
    compared = sites(turns_per_pod, turn_s=turn_s)
    whole = {
        name: [(n, demand.redis_load(sized(site, n, turns_per_pod), costs)) for n in PODS]
        for name, site in compared.items()
    }
    by_pods = [
        (n, demand.redis_terms(sized(compared["one Redis, all events"], n, turns_per_pod), costs))
        for n in PODS
    ]
    terms = {name: [(n, it[name].whole) for n, it in by_pods] for name in by_pods[0][1]}
    return {
        "redis": lines_plot("The busiest Redis server", whole, x="pods", y="cores", full=CORE),
        "terms": lines_plot("One Redis, by reason", terms, x="pods", y="cores", full=CORE),
    }


if __name__ == "__main__":
    sys.exit(main())
