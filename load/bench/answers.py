"""Measures what the extractive generator answers: the figures behind its few constants.

Real questions to real passages through the product's own search and generator: is the answer in the
text, is the first citation right, and does it say so when it does not know?

    PYTHONPATH=.:load/bench python load/bench/answers.py --data FOLDER [--keep FOLDER --seconds N]

With ``--seconds`` it stops after about so long and goes on when it is called again, so that it can
be run beside other work; ``--keep`` is where it leaves what it has.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from answer_corpora import AnswerSet
from answer_figures import (
    Asked,
    as_now,
    by_meaning_and_words,
    chosen_elsewhere,
    dont_know,
    figures,
    weights_of,
)
from answer_report import report
from answer_sets import answer_sets
from pydantic import TypeAdapter

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest
from kotaemon_node.domain.limits import EVIDENCE_MIN
from kotaemon_node.engine.extractive import extract
from kotaemon_node.engine.faq import faq_answer
from kotaemon_node.engine.threshold import clear
from kotaemon_node.ports.encoder import Encoder, SpaceVectors
from kotaemon_node.retrieval.analysis import terms
from kotaemon_node.retrieval.dense import EncodedQuestion
from kotaemon_node.retrieval.generation import OpenGeneration, load_segment
from kotaemon_node.retrieval.indexed import indexed_text
from kotaemon_node.retrieval.opening import SearcherFactory
from load.bench.vectors import KeptVectors
from load.kept import keep, progress
from load.surroundings import commit, machine

TOP_K = 4

Done = tuple[str, str | None, list[Asked]]
"""Name of a set, that of its twin, and what came of its questions."""
_KEPT = TypeAdapter(Done)
"""How that is written between runs, and read back."""


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
        hits = clear(searcher.search(question.text, top_k=TOP_K, encoded=encoded)).hits
        searched = time.thread_time()
        told = faq_answer(question.text, hits)
        answer = extract(question.text, hits) if told is None else told.answer
        text = answer.text
        done = time.thread_time()
        asked.append(
            Asked(
                question,
                hits,
                search_cpu_s=searched - begin,
                extract_cpu_s=done - searched,
                text=text,
                cited=tuple(hit.passage.document for hit in answer.cited),
                pieces=len(answer.sentences),
                known=answer.known,
            )
        )
    generation.close()
    return asked


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


def ask_sets(data: Path, encoder: KeptVectors, kept: Path, until_s: float) -> list[Done]:
    """Ask the questions of all sets. Raises ``TimeoutError`` when the time is over."""
    done: list[Done] = []
    for one in answer_sets(data):
        file = kept / f"{len(done)}.json"
        if not file.exists():
            if time.monotonic() > until_s:
                raise TimeoutError
            with tempfile.TemporaryDirectory() as folder:
                asked = ask_all(one, encoder, Path(folder))
            file.write_bytes(_KEPT.dump_json((one.name, one.twin, asked)))
            progress(f"{one.name}: {figures(asked)}")
        done.append(_KEPT.validate_json(file.read_bytes()))
    return done


def main() -> None:
    """Measure and write the JSON file and its report."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--models", type=Path, default=Path(".models"))
    arguments.add_argument("--out", type=Path, default=Path("load/results/answers"))
    arguments.add_argument("--model", default="")
    arguments.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "answers")
    arguments.add_argument("--seconds", type=float, default=86_400)
    given = arguments.parse_args()
    until_s = time.monotonic() + given.seconds
    # What was asked is of this commit; vectors are of the model alone.
    kept = given.keep / commit()
    kept.mkdir(parents=True, exist_ok=True)
    model = make_encoder(given.model, "onnx", given.models, 1)
    encoder = KeptVectors(model, given.keep / "vectors.npz", until_s=until_s)
    try:
        done = ask_sets(given.data, encoder, kept, until_s)
    except TimeoutError:
        sys.exit("not done yet: call it again")
    finally:
        encoder.save()
    asked = {name: rows for name, _, rows in done}
    twins = {name: twin for name, twin, _ in done if twin is not None}
    every = [it for rows in asked.values() for it in rows]
    now = weights_of(asked, twins, as_now)
    results = {
        "commit": commit(),
        "machine": machine(),
        "encoder": encoder.name,
        "evidence_min": EVIDENCE_MIN,
        "twins": twins,
        "sets": {name: figures(rows) for name, rows in asked.items()},
        "dont_know": {
            "now": dont_know(now, twins),
            "before": dont_know(weights_of(asked, twins, by_meaning_and_words), twins),
        },
        "chosen_elsewhere": chosen_elsewhere(now, twins),
        "cpu_ms": {
            "search": round(statistics.median(it.search_cpu_s for it in every) * 1e3, 2),
            "extract": round(statistics.median(it.extract_cpu_s for it in every) * 1e3, 2),
        },
    }
    keep(given.out, results, report(results))


if __name__ == "__main__":
    main()
