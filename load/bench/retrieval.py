"""Measures what retrieval finds: words alone, vectors alone, both, on public sets.

Each set is an experiment (docs/how-to/evaluate.md); only the tuning halves are read. Of a large set
a part is measured: whole groups of documents, about ``--characters`` in all, and ``--questions``
about them, both drawn by a hash. Sets of up to twice as many characters are measured whole.

    python -m load.bench.retrieval --data FOLDER --vectors FILE.npz [--sets cranfield,xquad-zh]
        [--characters 100000] [--questions 300]
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.engine.threshold import clear
from kotaemon_node.evaluation.base import Base
from kotaemon_node.evaluation.comparison import compare
from kotaemon_node.evaluation.experiment import RETRIEVERS, Experiment, parse_experiment
from kotaemon_node.evaluation.opening import opened, written
from kotaemon_node.evaluation.run import Surroundings, run
from kotaemon_node.evaluation.sets.adapters import load
from kotaemon_node.evaluation.sets.cutting import sampled, without
from kotaemon_node.evaluation.sets.form import DataSet
from kotaemon_node.local import places, preflight
from load.bench.retrieval_report import report
from load.bench.vectors import KeptVectors, built_here
from load.kept import keep, progress
from load.surroundings import commit, machine

OUT: Final = Path("load/results")
METRICS: Final = ("recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10")
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


_SHARE_MIN: Final = 0.1  # of the documents: an experiment leaves out no more


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
        wanted = self.characters or characters
        if characters > 2 * wanted and name not in WHOLE:
            share = max(wanted / characters, _SHARE_MIN)
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


def measure(name: str, data: Path, *, part: Part, encoder: KeptVectors) -> dict[str, Any]:
    """Return the figures of one set by retriever, and how hybrid compares with the others."""
    measured = part.of(name, data)
    experiments = {kind: _experiment(name, kind, measured, data) for kind in RETRIEVERS}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="kotaemon-retrieval-") as folder:
        around = Surroundings(
            build=partial(built_here, encoder),
            encoder=encoder,
            language_model=None,
            clock=SystemClock(),
            tell=lambda *_: None,
            room=Path(folder),
        )
        for kind, experiment in experiments.items():
            found[kind] = run(experiment, around).results
            means = {metric: it["mean"] for metric, it in found[kind]["metrics"].items()}
            progress(f"{name} {kind} {means}")
        given = passages_given(experiments["hybrid"], around)
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
        "given": given,
    }


def passages_given(experiment: Experiment, around: Surroundings) -> dict[str, Any]:
    """Return what the threshold does to the passages of answers: how many, and how many right."""
    data = without(load(experiment.source), left_out=experiment.left_out, seed=experiment.seed)
    data = sampled(data, questions_max=experiment.questions_max, seed=experiment.seed)
    counted: dict[str, list[tuple[int, float, float]]] = {"found": [], "given": []}
    with opened_base(data, around) as base:
        for question in data.questions:
            if not (question.gold and question.answerable):
                continue
            found = base.searcher.search(question.text, encoded=base.encode(question.text))
            for kind, result in (("found", found), ("given", clear(found))):
                names = [base.name_of(hit.passage.document) for hit in result.hits]
                right = [name for name in names if name in question.gold]
                recall = len(set(right)) / len(question.gold)
                counted[kind].append((len(names), recall, len(right) / max(1, len(names))))
    return {
        kind: dict(zip(("passages", "recall", "right"), _means(rows), strict=True))
        for kind, rows in counted.items()
    }


def _means(rows: Sequence[tuple[float, ...]]) -> list[float]:
    return [round(fmean(column), 4) for column in zip(*rows, strict=True)]


@contextmanager
def opened_base(data: DataSet, around: Surroundings) -> Iterator[Base]:
    """Open a knowledge base of the documents of a set."""
    assert around.room is not None
    with tempfile.TemporaryDirectory(dir=around.room) as folder:
        documents, names = written(data, Path(folder) / "documents")
        built = around.build(documents, Path(folder), around.tell)
        with opened(built, around.encoder, names) as base:
            yield base


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the sets that were asked for; those measured before at this commit stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--characters", type=int, default=None)
    parser.add_argument("--questions", type=int, default=None)
    asked = parser.parse_args(arguments)
    part = Part(asked.characters, asked.questions)
    settings = preflight.read_settings()
    weights = places.models_folder()
    threads = settings.encoder_threads
    encoder = KeptVectors(make_encoder("", "onnx", weights, threads), asked.vectors)
    at, path = commit(), OUT / "retrieval.json"
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
    known = kept["sets"] if kept.get("commit") == at else {}
    for name in asked.sets.split(","):
        known[name] = measure(name, asked.data, part=part, encoder=encoder)
        encoder.save()
        sets = {each: known[each] for each in SETS if each in known}
        results = {"commit": at, "machine": machine(), "sets": sets}
        keep(OUT / "retrieval", results, report(sets, at=at, where=machine()))


if __name__ == "__main__":
    main()
