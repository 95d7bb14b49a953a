"""Measures what the extractive generator answers: the figures behind its few constants.

Real questions to real passages through the product's own search and generator: is the answer in the
text, is the first citation right, and does it say so when it does not know?

    python load/bench/answers.py --data FOLDER --out load/results/answers --models .models
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from answer_sets import AnswerSet, Question, answer_sets

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.knowledge import DocumentEntry, Hit, Manifest
from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.extractive import EVIDENCE_MIN, evidence, extract
from kotaemon_node.ports.encoder import Encoder, SpaceVectors
from kotaemon_node.retrieval.analysis import terms
from kotaemon_node.retrieval.dense import EncodedQuestion
from kotaemon_node.retrieval.generation import OpenGeneration, load_segment
from kotaemon_node.retrieval.indexed import indexed_text
from kotaemon_node.retrieval.opening import SearcherFactory

TOP_K = 4
BARS = (0.35, 0.45, 0.5, 0.55, 0.6, 0.65, 0.75)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and what came of it."""

    question: Question
    hits: tuple[Hit, ...]
    search_cpu_s: float
    extract_cpu_s: float
    text: str
    cited: tuple[str, ...]
    known: bool

    @property
    def evidence(self) -> float:
        """That of the best passage."""
        language = language_of(self.question.text)
        return max((evidence(hit, language) for hit in self.hits), default=0.0)


# --- asking ----------------------------------------------------------------------------------


def ask_all(one: AnswerSet, encoder: Encoder, folder: Path) -> list[Asked]:
    """Index the passages as the product does, and ask every question."""
    texts = [indexed_text(passage) for passage in one.passages]
    entry = FaissSegmentFormat().write(
        folder, one.passages, [terms(text) for text in texts], encoder.encode_passages(texts)
    )
    files = {path.name: path for path in folder.iterdir()}
    segment = FaissSegmentFormat().open(files, entry)
    documents = sorted({passage.document for passage in one.passages})
    manifest = Manifest(
        tenant="default",
        kb="bench",
        generation=1,
        parent=None,
        encoder=encoder.name,
        spaces=dict(encoder.spaces),
        segments=(entry,),
        documents=tuple(_entry(document, entry.name) for document in documents),
        created_at="",
    )
    generation = OpenGeneration(manifest, [load_segment(segment)], on_close=segment.close)
    searcher = SearcherFactory(lambda _: encoder, tasks=ThreadTasks()).make(generation)
    asked: list[Asked] = []
    vectors = encoder.encode_queries([question.text for question in one.questions])
    for question, encoded in zip(one.questions, by_text(vectors, len(one.questions)), strict=True):
        begin = time.thread_time()
        hits = searcher.search(question.text, top_k=TOP_K, encoded=encoded).hits
        searched = time.thread_time()
        answer = extract(question.text, hits)
        text = answer.text
        done = time.thread_time()
        cited = tuple(hit.passage.document for hit in answer.cited)
        asked.append(
            Asked(question, hits, searched - begin, done - searched, text, cited, answer.known)
        )
    generation.close()
    return asked


class RememberingEncoder:
    """An encoder that encodes each text once: the sets share their texts."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.name = encoder.name
        self.spaces = encoder.spaces
        self._known: dict[tuple[str, str], EncodedQuestion] = {}

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        """See the port."""
        return self._encode("passage", texts, self._encoder.encode_passages)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        """See the port."""
        return self._encode("query", texts, self._encoder.encode_queries)

    def _encode(
        self,
        kind: str,
        texts: Sequence[str],
        encode: Callable[[Sequence[str]], Mapping[str, SpaceVectors]],
    ) -> Mapping[str, SpaceVectors]:
        new = [text for text in dict.fromkeys(texts) if (kind, text) not in self._known]
        for start in range(0, len(new), 32):
            batch = new[start : start + 32]
            for text, vectors in zip(batch, by_text(encode(batch), len(batch)), strict=True):
                self._known[kind, text] = vectors
        rows: dict[str, list[tuple[int, Any]]] = {}
        for position, text in enumerate(texts):
            for space, vector in self._known[kind, text].items():
                rows.setdefault(space, []).append((position, vector))
        return {
            space: SpaceVectors(
                np.array([position for position, _ in found], dtype=np.int64),
                np.stack([vector for _, vector in found]),
            )
            for space, found in rows.items()
        }


def by_text(encoded: Mapping[str, SpaceVectors], texts: int) -> list[EncodedQuestion]:
    """Return the vectors of each text by space."""
    found: list[dict[str, Any]] = [{} for _ in range(texts)]
    for space, rows in encoded.items():
        for position, vector in zip(rows.positions.tolist(), rows.vectors, strict=True):
            found[position][space] = vector
    return list(found)


def _entry(document: str, segment: str) -> DocumentEntry:
    return DocumentEntry(
        document=document,
        revision="r",
        title=document,
        status="indexed",
        reason=None,
        file_bytes=0,
        text_chars=0,
        passages=1,
        text=None,
        segment=segment,
        indexed_at="",
    )


# --- figures ---------------------------------------------------------------------------------


def figures(asked: Sequence[Asked]) -> dict[str, Any]:
    """Return the figures of one set; shares are of all its questions unless named otherwise."""
    row: dict[str, Any] = {
        "questions": len(asked),
        "answered": share(one.known for one in asked),
        "answered_at_bar": {str(bar): share(one.evidence >= bar for one in asked) for bar in BARS},
    }
    if not any(one.question.gold for one in asked):
        return row
    known = [one for one in asked if one.known]
    gold_of = [{hit.passage.document for hit in one.hits} & one.question.gold for one in asked]
    row |= {
        "gold_first": share(
            bool(one.hits) and one.hits[0].passage.document in one.question.gold for one in asked
        ),
        "gold_among_4": share(bool(gold) for gold in gold_of),
        "gold_cited": share(bool(set(one.cited) & one.question.gold) for one in asked),
        "first_citation_right": share(one.cited[0] in one.question.gold for one in known),
        "citations_right": round(
            statistics.fmean(
                share(document in one.question.gold for document in one.cited) for one in known
            ),
            3,
        ),
        "chars": statistics.median(len(one.text) for one in known),
    }
    if all(one.question.answers for one in asked):
        row["answer_contained"] = share(contains(one) for one in asked)
    return row


def contains(one: Asked) -> bool:
    """Tell whether one of the right answers is in the text, blanks and case aside."""
    text = "".join(one.text.lower().split())
    return one.known and any(
        "".join(answer.lower().split()) in text for answer in one.question.answers
    )


def share(those: Any) -> float:
    """Return the share of true ones."""
    return round(statistics.fmean(map(float, those)), 3)


def dont_know(with_answer: Sequence[Asked], without: Sequence[Asked]) -> dict[str, float]:
    """Judge the don't-knows: of those said how many were right, of those due how many were said."""
    said_wrongly = sum(not one.known for one in with_answer)
    said_rightly = sum(not one.known for one in without)
    return {
        "precision": round(said_rightly / (said_rightly + said_wrongly), 3),
        "recall": round(said_rightly / len(without), 3),
    }


# --- report ----------------------------------------------------------------------------------

COLUMNS = (
    ("questions", "questions"),
    ("answered", "answered"),
    ("answer_contained", "answer in text"),
    ("gold_cited", "gold cited"),
    ("first_citation_right", "1st citation right"),
    ("citations_right", "citations right"),
    ("gold_first", "gold 1st"),
    ("gold_among_4", "gold in 4"),
    ("chars", "characters"),
)


def report(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    head = " | ".join(["set", *(label for _, label in COLUMNS)])
    lines = [
        "# Extractive answers",
        "",
        "Made by `python load/bench/answers.py`; what is measured stands there. Shares are of all",
        "questions of a set, those of citations of the answered ones. `answered` should be 1 in",
        "the upper table, where every question has an answer, and 0 in the lower.",
        "",
        f"Commit {results['commit']}, {results['machine']}, encoder `{results['encoder']}`,",
        f"evidence needed {results['evidence_min']}.",
        "",
        f"| {head} |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for name, row in results["sets"].items():
        if "gold_first" in row:
            cells = [str(row.get(key, "")) for key, _ in COLUMNS]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| no answer in store | questions | answered |", "|---|---|---|"]
    lines += [
        f"| {name} | {row['questions']} | {row['answered']} |"
        for name, row in results["sets"].items()
        if "gold_first" not in row
    ]
    lines += ["", "## Don't know", "", "| sets | precision | recall |", "|---|---|---|"]
    lines += [
        f"| {name} | {row['precision']} | {row['recall']} |"
        for name, row in results["dont_know"].items()
    ]
    lines += ["", "## Share answered by the evidence that is asked for", ""]
    lines += [f"| set | {' | '.join(map(str, BARS))} |", "|---" * (len(BARS) + 1) + "|"]
    for name, row in results["sets"].items():
        cells = [str(row["answered_at_bar"][str(bar)]) for bar in BARS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    cpu = results["cpu_ms"]
    lines += [
        "",
        f"CPU time, median: {cpu['search']} ms a search (encoding aside), "
        f"{cpu['extract']} ms an answer.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the JSON file and its report."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--models", type=Path, default=Path(".models"))
    arguments.add_argument("--out", type=Path, default=Path("load/results/answers"))
    arguments.add_argument("--model", default="")
    given = arguments.parse_args()
    encoder = RememberingEncoder(make_encoder(given.model, "onnx", given.models, 1))
    asked: dict[str, list[Asked]] = {}
    for one in answer_sets(given.data):
        with tempfile.TemporaryDirectory() as folder:
            asked[one.name] = ask_all(one, encoder, Path(folder))
        print(one.name, figures(asked[one.name]), flush=True)
    every = [it for rows in asked.values() for it in rows]
    results = {
        "commit": subprocess.check_output(
            ["git", "rev-parse", "--short", "HEAD"], text=True
        ).strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "seed": None,
        "encoder": encoder.name,
        "evidence_min": EVIDENCE_MIN,
        "sets": {name: figures(rows) for name, rows in asked.items()},
        "dont_know": {
            name: dont_know(asked[name], asked[without])
            for name, without in pairs(list(asked)).items()
        },
        "cpu_ms": {
            "search": round(statistics.median(it.search_cpu_s for it in every) * 1e3, 2),
            "extract": round(statistics.median(it.extract_cpu_s for it in every) * 1e3, 2),
        },
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    given.out.with_suffix(".md").write_text(report(results))


def pairs(names: Sequence[str]) -> dict[str, str]:
    """Return each set with answers and its twin without."""
    twins = {name: f"{name}, document left out" for name in names}
    twins["mtrag_un en, answerable"] = "mtrag_un en, unanswerable"
    twins["xquad en"] = "xquad en, document left out"
    return {name: twin for name, twin in twins.items() if twin in names}


if __name__ == "__main__":
    main()
