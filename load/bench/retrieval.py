"""Measures what retrieval finds: words alone, vectors alone, both, on public sets.

Each set is an experiment (docs/how-to/evaluate.md); only the tuning halves are read. Of a large set
a part is measured: whole groups of documents, about ``--characters`` in all, and ``--questions``
about them, both drawn by a hash.

    python -m load.bench.retrieval --data FOLDER [--sets cranfield,xquad-zh] [--keep FOLDER]
        [--characters 300000] [--questions 300]
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kotaemon_node.cli.evaluating import run_experiment
from kotaemon_node.evaluation.comparison import compare
from kotaemon_node.evaluation.experiment import RETRIEVERS, Experiment, parse_experiment
from kotaemon_node.evaluation.sets.adapters import load
from kotaemon_node.local import preflight
from load.surroundings import commit

OUT: Final = Path("load/results")
METRICS: Final = ("recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10")
SHOWN: Final = ("ndcg@10", "recall@5", "mrr@10")
SETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "xquad-en": {"dataset": "xquad_en_zh/dev/queries.jsonl", "language": "en"},
    "xquad-zh": {"dataset": "xquad_en_zh/dev/queries.jsonl", "language": "zh"},
    "xquad-zh-en": {"dataset": "xquad_en_zh/dev/queries.jsonl", "language": "zh->en"},
    "cranfield": {"dataset": "cranfield/dev/queries.jsonl"},
    "tidb-faq-zh": {"dataset": "tidb_faq_zh/dev/faq.jsonl"},
    "anthropic-docs": {"dataset": "anthropic_docs/dev/queries.jsonl"},
    "covid-faq": {"dataset": "covid_faq/dev/faq.jsonl"},
    "hotpot": {"dataset": "hotpot_sample/dev/queries.jsonl"},
    "mtrag-un": {"dataset": "mtrag_un/dev/tasks.jsonl"},
    "insuranceqa-en": {"dataset": "insuranceqa_en_zh/dev/queries.jsonl", "language": "en"},
    "insuranceqa-zh": {"dataset": "insuranceqa_en_zh/dev/queries.jsonl", "language": "zh"},
    "cmrc2018": {"dataset": "cmrc2018_dev/dev/queries.jsonl"},
    "drcd": {"dataset": "drcd/dev/queries.jsonl"},
    "dureader": {"dataset": "dureader_demo/dev/queries.jsonl"},
    "cacm": {"dataset": "cacm/dev/queries.jsonl"},
    "domainrag-zh": {"dataset": "domainrag_zh/dev/queries.jsonl"},
    "redis-docs": {"dataset": "redis_docs/dev/queries.jsonl"},
    "tidb-docs-zh": {"dataset": "tidb_docs_zh/dev/queries.jsonl"},
    "dify-docs-en": {"dataset": "dify_docs_en_zh/dev/queries.en.jsonl"},
    "dify-docs-zh": {"dataset": "dify_docs_en_zh/dev/queries.zh.jsonl"},
    "covidqa-long": {"dataset": "covidqa_long/dev/queries.jsonl"},
    "dstc11-reviews": {"dataset": "dstc11_reviews/dev/turns.jsonl"},
    "insuranceqa-zh-en": {"dataset": "insuranceqa_en_zh/dev/queries.jsonl", "language": "zh->en"},
}

WHOLE: Final = ("anthropic-docs",)
"""Has so few questions that a part of them says nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """How much of a set is measured; None: all of it."""

    characters: int | None = None
    questions: int | None = None

    def of(self, name: str, data: Path) -> dict[str, Any]:
        """Return what an experiment's ``evaluation`` says of it."""
        source = load(_experiment(name, "hybrid", {}, data).source)
        characters = sum(len(it.text) for it in source.documents)
        said: dict[str, Any] = {}
        share = 1.0
        if self.characters is not None and characters > self.characters and name not in WHOLE:
            share = self.characters / characters
            said["left_out"] = round(1 - share, 3)
        if self.questions is not None and share * len(source.questions) > self.questions:
            # Those whose documents are left out are drawn as well, and count nowhere.
            said["questions"] = round(self.questions / share)
        return said


def _experiment(name: str, kind: str, part: Mapping[str, Any], data: Path) -> Experiment:
    said = {
        "experiment": f"{name} {kind}",
        "retriever": {"type": kind},
        "evaluation": {**SETS[name], **part, "metrics": list(METRICS), "seed": 0},
    }
    return parse_experiment(json.dumps(said), path=data / "experiment.yaml")


def measure(name: str, data: Path, *, part: Part, keep: Path | None) -> dict[str, Any]:
    """Return the figures of one set by retriever, and how hybrid compares with the others."""
    settings = preflight.read_settings()
    measured = part.of(name, data)
    found: dict[str, Any] = {}
    for kind in RETRIEVERS:
        experiment = _experiment(name, kind, measured, data)
        ran = run_experiment(experiment, settings, tell=lambda *_: None, room=keep)
        found[kind] = ran.results
        means = {metric: it["mean"] for metric, it in ran.results["metrics"].items()}
        print(name, kind, means, ran.timings["build_s"], flush=True, file=sys.stderr)
    return {
        "questions": found["hybrid"]["metrics"]["ndcg@10"]["n"],
        "documents": found["hybrid"]["data"]["documents"],
        "part": measured,
        "encoder": found["hybrid"]["configuration"]["encoder"],
        "figures": {kind: found[kind]["metrics"] for kind in RETRIEVERS},
        "hybrid_against": {
            kind: compare(found[kind], found["hybrid"], seed=0)["metrics"]
            for kind in RETRIEVERS
            if kind != "hybrid"
        },
    }


def report(sets: Mapping[str, Any], *, at: str) -> str:
    """Return the figures as Markdown."""
    lines = [
        "# Retrieval",
        "",
        f"Made by `python -m load.bench.retrieval` at commit {at}, on the tuning halves.",
        "Lexical is BM25 alone, dense is vectors alone, hybrid is both; the last column is hybrid",
        "minus the better one, and p of a paired randomisation test against that one.",
    ]
    for metric in SHOWN:
        lines += ["", f"## {metric}", "", "| set | n | lexical | dense | hybrid | difference | p |"]
        lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        lines += [_row(name, it, metric) for name, it in sets.items()]
    return "\n".join(lines) + "\n"


def _row(name: str, it: Mapping[str, Any], metric: str) -> str:
    means = {kind: it["figures"][kind][metric]["mean"] for kind in ("lexical", "dense", "hybrid")}
    better = max(("lexical", "dense"), key=means.__getitem__)
    against = it["hybrid_against"][better][metric]
    cells = [f"{mean:.3f}" for mean in means.values()]
    cells += [f"{against['difference']:+.3f}", f"{against['p']:.3f}"]
    return f"| {name} | {it['questions']} | {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the sets that were asked for; those measured before stay in the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--keep", type=Path, default=None)
    parser.add_argument("--characters", type=int, default=None)
    parser.add_argument("--questions", type=int, default=None)
    asked = parser.parse_args(arguments)
    part = Part(asked.characters, asked.questions)
    path = OUT / "retrieval.json"
    known = json.loads(path.read_text("utf-8"))["sets"] if path.exists() else {}
    for name in asked.sets.split(","):
        known[name] = measure(name, asked.data, part=part, keep=asked.keep)
        at = commit()
        sets = {each: known[each] for each in SETS if each in known}
        path.write_text(json.dumps({"commit": at, "sets": sets}, indent=1) + "\n", "utf-8")
        (OUT / "retrieval.md").write_text(report(sets, at=at), "utf-8")


if __name__ == "__main__":
    main()
