"""Measures what is found for turns of a conversation: as asked, as the rules make them stand alone,
joined with what was said before, and as people rewrote them.

Each figure is an experiment (docs/how-to/evaluate.md); only the tuning halves are read.

    python -m load.bench.conversation --data FOLDER [--sets cast,dstc10] [--keep FOLDER]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from kotaemon_node.cli.evaluating import run_experiment
from kotaemon_node.evaluation.comparison import compare
from kotaemon_node.evaluation.experiment import parse_experiment
from kotaemon_node.evaluation.sets.form import DataSet
from kotaemon_node.local import preflight
from load.bench.conversation_options import SPOKEN, of_hops, of_spoken
from load.bench.conversation_report import report
from load.bench.conversation_rewrites import REWRITES, rewrites
from load.bench.conversation_sets import (
    ALONE,
    CONVERSATIONS,
    Asks,
    behind_another,
    conversations,
    joined,
    write,
)
from load.kept import keep, progress
from load.surroundings import commit, machine

ALONE_MARK: Final = "alone:{}"
SPOKEN_MARK: Final = "spoken:{}"
OUT: Final = Path("load/results/conversation")
NAMES: Final = (
    *CONVERSATIONS,
    *map(ALONE_MARK.format, ALONE),
    *REWRITES,
    *map(SPOKEN_MARK.format, SPOKEN),
    "hops",
)
METRICS: Final = ("recall@1", "recall@5", "recall@10", "mrr@10")


class Runs:
    """Runs experiments on variants of sets, and keeps their knowledge bases."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept
        self._settings = preflight.read_settings()

    def results(
        self,
        data: DataSet,
        name: str,
        *,
        expander: str = "none",
        asks: Asks = lambda question: question.text,
    ) -> Mapping[str, Any]:
        """Return the result of one experiment."""
        with tempfile.TemporaryDirectory() as room:
            path = write(data, Path(room), asks=asks)
            said = {
                "experiment": name,
                "query_expander": {"type": expander},
                "evaluation": {"dataset": str(path), "metrics": list(METRICS), "seed": 0},
            }
            experiment = parse_experiment(json.dumps(said), path=path)
            ran = run_experiment(experiment, self._settings, tell=lambda *_: None, room=self._kept)
        means = {metric: it["mean"] for metric, it in ran.results["metrics"].items()}
        progress(f"{name}: {means}")
        return ran.results


def of_conversations(name: str, data: Path, runs: Runs) -> dict[str, Any]:
    """Return the figures of a set of conversations."""
    found = conversations(name, data)
    raw = runs.results(found.data, f"{name} raw")
    ways = {
        "raw": raw,
        "rules": runs.results(found.data, f"{name} rules", expander="rewrite"),
        "joined": runs.results(found.data, f"{name} joined", asks=joined),
    }
    if found.references:
        references = found.references
        ways["reference"] = runs.results(
            found.data, f"{name} reference", asks=lambda one: references[one.id] or one.text
        )
    return {**_figures(ways), "leaks": _leaks(found.data)}


def of_alone(name: str, data: Path, runs: Runs) -> dict[str, Any]:
    """Return the figures of questions that need no history, behind one of another."""
    found = behind_another(name, data)
    ways = {
        "raw": runs.results(found, f"{name} raw"),
        "rules": runs.results(found, f"{name} rules", expander="rewrite"),
        "joined": runs.results(found, f"{name} joined", asks=joined),
    }
    return _figures(ways)


def _figures(ways: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    raw, rules = ways["raw"], ways["rules"]
    before = {it["id"]: it["scores"]["recall@5"] for it in raw["questions"]}
    after = {it["id"]: it["scores"]["recall@5"] for it in rules["questions"]}
    return {
        "questions": len(before),
        "documents": raw["data"]["documents"],
        "encoder": raw["configuration"]["encoder"],
        "changed": sum("searched" in it for it in rules["questions"]),
        "helped": sum(after[name] > before[name] for name in before),
        "hurt": sum(after[name] < before[name] for name in before),
        "figures": {way: it["metrics"] for way, it in ways.items()},
        "rules_against_raw": compare(raw, rules, seed=0)["metrics"],
    }


def _leaks(data: DataSet) -> float:
    """Return the share of questions one of whose gold documents was said before, word for word."""
    texts = {it.name: it.text.strip() for it in data.documents}
    told = 0
    for question in data.questions:
        said = "\n".join(text for _, text in question.history)
        told += any(texts[name] and texts[name] in said for name in question.gold)
    return told / len(data.questions)


def _measured(name: str, data: Path, runs: Runs) -> tuple[str, str, dict[str, Any]]:
    """Return under which names the figures of a measure are kept, and the figures."""
    kind, _, key = name.rpartition(":")
    if kind == "alone":
        return "alone", key, of_alone(key, data, runs)
    if kind == "spoken":
        return "spoken", key, of_spoken(key, data, runs.results)
    if name == "hops":
        return "options", "hops", of_hops(data, runs.results)
    if name in REWRITES:
        return "rewrites", name, rewrites(name, data)
    if name in CONVERSATIONS:
        return "conversations", name, of_conversations(name, data, runs)
    sys.exit(f"there is no {name}; there are {', '.join(NAMES)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the sets that were asked for; those measured before stay in the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(NAMES))
    parser.add_argument("--keep", type=Path, required=True)
    asked = parser.parse_args(arguments)
    path = OUT.with_suffix(".json")
    known: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    runs = Runs(asked.keep)
    for name in asked.sets.split(","):
        group, key, figures = _measured(name, asked.data, runs)
        known.setdefault(group, {})[key] = {**figures, "commit": commit()}
        known["machine"] = machine()
        keep(OUT, known, report(known))


if __name__ == "__main__":
    main()
