"""What half precision and batches give on a GPU, and whether the vectors stay the same.

    python -m load.bench.encoder_gpu --model FOLDER_OF_A_MODEL [--device cuda]

Without a GPU it measures the CPU in both precisions, which says nothing about speed on a GPU; only
the agreement carries over.
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from kotaemon_node.adapters.encoder.sentence_transformers import (
    SentenceTransformersEncoder,
    load_reference,
)
from load.kept import keep, progress
from load.surroundings import commit, machine

OUT: Final = Path("load/results/encoders_gpu")
BATCHES: Final = (1, 32, 256)
SECONDS: Final = 3.0
_WORDS: Final = ("order", "parcel", "warranty", "pump", "filter", "water", "repair", "cable")


def texts(number: int, words: int) -> Sequence[str]:
    """Return different texts of about so many words, the same in each run."""
    rng = np.random.default_rng(7)
    sizes = rng.integers(max(3, words // 2), words + words // 2, size=number)
    return [" ".join(rng.choice(_WORDS, size)) + "." for size in sizes]


def speed(encoder: SentenceTransformersEncoder, batch: int, words: int) -> dict[str, float]:
    """Return texts a second and the median time of a call."""
    asked = texts(batch, words)
    encoder.encode_queries(asked)
    took: list[float] = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end or len(took) < 3:
        began = time.monotonic()
        encoder.encode_queries(asked)  # copies its vectors back, so it has ended
        took.append(time.monotonic() - began)
    middle = statistics.median(took)
    return {"batch": batch, "words": words, "texts_per_s": batch / middle, "ms": middle * 1e3}


def agreement(half: SentenceTransformersEncoder, full: SentenceTransformersEncoder) -> float:
    """Return the lowest cosine over texts of all sizes."""
    (space,) = half.spaces
    (other,) = full.spaces
    asked = [*texts(64, 8), *texts(64, 60), *texts(16, 300)]
    ours = half.encode_passages(asked)[space].vectors
    theirs = full.encode_passages(asked)[other].vectors
    return float((ours * theirs).sum(axis=1).min())


def report(results: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "# Half precision",
        "",
        f"Commit {results['commit']}; {results['machine']}; computed by: {results['device']};"
        f" torch {results['torch']}. Made by `python -m load.bench.encoder_gpu`.",
        "",
        f"Lowest cosine between half and full precision: {results['agreement']:.5f} over 144 texts;"
        f" on the start's own: {results['agreement_at_start']:.5f}.",
        "",
        "| precision | words a text | batch | texts a second | ms a call |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['words']} | {row['batch']} | {row['texts_per_s']:.0f} | {row['ms']:.1f} |"
        for name, rows in results["speed"].items()
        for row in rows
    ]
    if "cuda" not in results["device"]:
        lines += ["", "**No GPU could be had where this was made.** A CPU is slower in half"]
        lines += ["precision; of these figures only the agreement says something about a GPU."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--words", default="8,60")
    given = parser.parse_args()
    known = {
        name: load_reference(
            given.model, model_dir=Path("none"), threads=1, device=given.device, half=name == "half"
        )
        for name in ("full", "half")
    }
    measured: dict[str, Any] = {}
    for name, encoder in known.items():
        progress(name)
        measured[name] = [
            speed(encoder, int(batch), int(words))
            for words in given.words.split(",")
            for batch in given.batches.split(",")
        ]
    on_gpu = given.device.startswith("cuda")
    results = {
        "commit": commit(),
        "machine": machine(),
        "device": f"cuda ({torch.cuda.get_device_name()})" if on_gpu else "the CPU, one thread",
        "torch": torch.__version__,
        "agreement": agreement(known["half"], known["full"]),
        "agreement_at_start": known["half"].half_agreement,
        "speed": measured,
    }
    keep(OUT, results, report(results))


if __name__ == "__main__":
    main()
