"""What up to a thousand pods ask of Redis, Kafka and HAProxy, by arithmetic over measured costs.

python -m load.scale measure                  # some minutes; keeps load/results/scale.json
python -m load.scale [--turns-per-pod 25 2.5] # tables and plots from it, at once

A pod answers some 25 turns a second from its passages with half of a core, and some 2.5 where a
language model writes for ten seconds, 25 answers at a time (docs/how-to/capacity.md).
"""

import argparse
import json
import sys
from pathlib import Path

from load.scale import demand
from load.scale.costs import Costs
from load.scale.measure import PARTS, measure
from load.scale.plot import lines_plot
from load.scale.report import PODS, model_report, sites, sized
from load.scale.saturation import CORE

RESULTS = Path(__file__).parents[1] / "results"


def main() -> int:
    """Measure, or compute; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("model", "measure"), default="model")
    parser.add_argument("--turns-per-pod", type=float, nargs="+", default=[25.0, 2.5])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[], help="measure these anew")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    if arguments.what == "measure":
        measure(arguments.results / "scale", only=arguments.only)
    path = arguments.results / "scale.json"
    costs = Costs.read(path)
    results = json.loads(path.read_text("utf-8"))
    commits = ", ".join(sorted(set(results["commits"].values())))
    made_from = f"the costs in `scale.json` (commits {commits}; {results['machine']})"
    for rate in arguments.turns_per_pod:
        text = model_report(costs, turns_per_pod=rate, made_from=made_from)
        (arguments.results / f"scale_model_{rate:g}.md").write_text(text, "utf-8")
        for name, plot in plots(costs, rate).items():
            (arguments.results / f"scale_{name}_{rate:g}.svg").write_text(plot, "utf-8")
        print(text)
    return 0


def plots(costs: Costs, turns_per_pod: float) -> dict[str, str]:
    """Return name to plot."""
    compared = sites(turns_per_pod)
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
