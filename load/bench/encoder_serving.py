"""How questions are batched under load, by each way to have an encoder.

Callers ask one question after the other through ``QuestionEncoder``, as turns of a pod do. What
counts: questions a second, how long one waits, and how large the batches become.

    python -m load.bench.encoder_serving --models .models --torch FOLDER_OF_A_MODEL
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.encoder.remote import RemotePlace
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.ports.encoder import Encoder, SpaceVectors, is_elsewhere
from kotaemon_node.retrieval.batching import QuestionEncoder
from load.kept import keep, progress
from load.surroundings import commit, machine

OUT: Final = Path("load/results/encoders_serving")
MODEL: Final = "all-MiniLM-L6-v2"
CALLERS: Final = (1, 8, 32)
SECONDS: Final = 4.0
QUESTIONS: Final = (
    "How long does the warranty of a kettle last?",
    "Can I change the delivery address after paying?",
    "Which parcels need a signature?",
    "Why does the pump show error E-14 after the filter was cleaned, and who repairs it?",
)


@dataclass(slots=True)
class Counted:
    """An encoder that notes how large its batches are."""

    encoder: Encoder
    batches: list[int] = field(default_factory=list)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        self.batches.append(len(texts))
        return self.encoder.encode_queries(texts)


def under_load(encoder: Encoder, callers: int) -> dict[str, float]:
    """Return the figures of so many callers at once."""
    counted = Counted(encoder)
    run: Callable[..., Any] = (
        (lambda work, *given: work(*given))
        if is_elsewhere(encoder)
        else ThreadTasks(native_threads=1).compute
    )
    questions = QuestionEncoder(counted, compute=run)  # type: ignore[arg-type]
    took: list[float] = []
    end = time.monotonic() + SECONDS

    def ask(first: int) -> None:
        number = first
        while time.monotonic() < end:
            began = time.monotonic()
            questions.encode(QUESTIONS[number % len(QUESTIONS)])
            took.append(time.monotonic() - began)
            number += 1

    began = time.monotonic()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    return {
        "callers": callers,
        "questions_per_s": len(took) / seconds,
        "ms_median": statistics.median(took) * 1e3,
        "ms_p99": statistics.quantiles(took, n=100)[98] * 1e3,
        "batch_mean": statistics.fmean(counted.batches),
        "batch_max": max(counted.batches),
    }


@contextmanager
def server(models: Path) -> Iterator[str]:
    """Run ``kotaemon encoder`` as a process of its own; lend its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "kotaemon_node.server.encoder", "127.0.0.1", str(port)]
    environment = {**os.environ, "ENCODER_MODEL": MODEL, "MODEL_DIR": str(models.absolute())}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                try:
                    requests.get(f"http://127.0.0.1:{port}/healthz", timeout=1)
                    break
                except requests.ConnectionError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def report(results: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "# Questions in batches",
        "",
        f"Commit {results['commit']}; {results['machine']}, shared with others; {MODEL}.",
        f"Callers ask one question after the other for {SECONDS:g} s; `alone` is one question of",
        "one caller without the queue. Made by `python -m load.bench.encoder_serving`.",
        "",
        "| encoder | alone, ms | callers | questions/s | median, ms | p99, ms | batch | largest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, it in results["encoders"].items():
        for row in it["load"]:
            lines.append(
                f"| {name} | {it['alone_ms']:.1f} | {row['callers']} | {row['questions_per_s']:.0f}"
                f" | {row['ms_median']:.1f} | {row['ms_p99']:.1f} | {row['batch_mean']:.1f}"
                f" | {row['batch_max']} |"
            )
    return "\n".join(lines) + "\n"


def alone_ms(encoder: Encoder) -> float:
    """Return the median time of one question, asked by nobody else and through no queue."""
    took = []
    for number in range(60):
        began = time.monotonic()
        encoder.encode_queries([QUESTIONS[number % len(QUESTIONS)]])
        took.append(time.monotonic() - began)
    return statistics.median(took[10:]) * 1e3


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path(".models"))
    parser.add_argument("--torch", type=Path, required=True)
    given = parser.parse_args()
    measured: dict[str, Any] = {}
    with server(given.models) as url:
        encoders = {
            "onnx": make_encoder(MODEL, "onnx", given.models, 1),
            "http (onnx there)": make_encoder(
                MODEL, "http", given.models, 1, remote=RemotePlace(url)
            ),
            "torch": make_encoder(str(given.torch), "torch", given.models, 1),
        }
        for name, encoder in encoders.items():
            progress(name)
            measured[name] = {
                "alone_ms": alone_ms(encoder),
                "load": [under_load(encoder, callers) for callers in CALLERS],
            }
    results = {"commit": commit(), "machine": machine(), "encoders": measured}
    keep(OUT, results, report(results))


if __name__ == "__main__":
    main()
