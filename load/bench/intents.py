"""Measures what examples recognise: accuracy, and messages without an intent.

The product's own features, classifier and bar; nothing is tuned on what is asked.

    python -m load.bench.intents --data FOLDER --vectors FILE.npz [--sets clinc150,cic_zh]
        [--models FOLDER] [--encoder NAME] [--draws 3] [--until 300]
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.engine.intents.features import Features
from kotaemon_node.engine.intents.learning import Classifier, learned
from kotaemon_node.local import places
from load.bench.intent_report import report
from load.bench.intent_sets import SETS, Cut
from load.bench.vectors import KeptVectors
from load.kept import keep, progress
from load.surroundings import commit, machine

OUT: Final = Path("load/results")
KEPT: Final = 0.9
FEW: Final[Mapping[str, int | None]] = {"5": 5, "10": 10, "all": None}


class Rows:
    """Texts as rows of features; each text is made once."""

    def __init__(self, encoder: KeptVectors) -> None:
        self._encoder = encoder
        self.features = Features(encoder.spaces)
        self._known: dict[str, NDArray[np.float32]] = {}

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (texts, places)."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        vectors: list[dict[str, Any]] = [{} for _ in new]
        for space, found in self._encoder.encode_queries(new).items() if new else ():
            for position, vector in zip(found.positions.tolist(), found.vectors, strict=True):
                vectors[position][space] = vector
        for text, many in zip(new, vectors, strict=True):
            self._known[text] = self.features.row(text, many)
        return np.stack([self._known[text] for text in texts])


def figures(cut: Cut, rows: Rows) -> dict[str, float]:
    """Return the figures of one classifier."""
    began = time.perf_counter()
    names = [name for _, name in cut.examples]
    made = learned(rows.of([it for it, _ in cut.examples]), names, rows.features, kept=KEPT)
    took_s = time.perf_counter() - began
    said = [made.said(row)[0] for row in rows.of([text for text, _ in cut.asked])]
    right = np.array([name == it[1] for (name, _), it in zip(said, cut.asked, strict=True)])
    sure = np.array([confidence for _, confidence in said])
    found = {
        "intents": float(len(made.names)),
        "examples": float(len(cut.examples)),
        "asked": float(len(cut.asked)),
        "accuracy": float(right.mean()),
        "macro_f1": _macro_f1([name for name, _ in said], [name for _, name in cut.asked]),
        "taken_right": float((right & (sure >= 0.5)).mean()),
        "taken_wrong": float((~right & (sure >= 0.5)).mean()),
        "learning_s": took_s,
    }
    if cut.strangers:
        strange = np.array([made.said(row)[0][1] for row in rows.of(cut.strangers)])
        found |= {
            "strangers": float(len(strange)),
            "strangers_recall": float((strange < 0.5).mean()),
            "auroc": _auroc(sure, strange),
        }
    return found


def _auroc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    both = np.concatenate([inside, outside])
    _, place, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    above = ranks[: len(inside)].sum() - len(inside) * (len(inside) + 1) / 2
    return float(above / (len(inside) * len(outside)))


def _macro_f1(said: Sequence[str], meant: Sequence[str]) -> float:
    found = []
    for name in set(meant):
        hits = sum(a == b == name for a, b in zip(said, meant, strict=True))
        both = sum(it == name for it in said) + sum(it == name for it in meant)
        found.append(2 * hits / both if both else 0.0)
    return fmean(found)


def measure(name: str, data: Path, rows: Rows, *, draws: int) -> dict[str, Any]:
    """Return the figures of one set by number of examples; the mean over draws and classifiers."""
    cuts = SETS[name](data)
    found: dict[str, Any] = {}
    for label, most in FEW.items():
        many = [
            figures(cut.few(most, draw), rows)
            for cut in cuts
            for draw in range(draws if most else 1)
        ]
        found[label] = _means(many)
        progress(f"{name} {label} { ({k: round(v, 3) for k, v in sorted(found[label].items())}) }")
    return found


def _means(many: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return means; a set that is cut twice, whole and with strangers, has two classifiers."""
    whole = [it for it in many if "strangers" not in it]
    with_strangers = [it for it in many if "strangers" in it]
    found = {}
    for key in {key for it in many for key in it}:
        of_bar = key.startswith(("taken", "strangers", "auroc"))
        found[key] = fmean(it[key] for it in (with_strangers if of_bar else whole or many))
    return found


def speed(data: Path, rows: Rows) -> dict[str, float]:
    """Return how long one message takes besides its vector: 150 intents of 100 examples each.

    CLINC150's tuning half has 50 each: every example is given twice.
    """
    (cut,) = SETS["clinc150"](data)
    texts = [text for text, _ in cut.examples]
    given = np.concatenate([rows.of(texts), rows.of(texts)])
    began = time.perf_counter()
    made = learned(given, [name for _, name in cut.examples] * 2, rows.features, kept=KEPT)
    learning_s = time.perf_counter() - began
    asked = [text for text, _ in cut.asked[:500]]
    vectors = [_parts(row, rows.features) for row in rows.of(asked)]
    took = [_once(made, rows.features, *it) for it in zip(asked, vectors, strict=True)]
    return {
        "intents": float(len(made.names)),
        "examples": float(len(given)),
        "learning_s": learning_s,
        "message_median_ms": 1e3 * median(took),
        "message_p99_ms": 1e3 * float(np.quantile(took, 0.99)),
    }


def _parts(row: NDArray[np.float32], features: Features) -> dict[str, NDArray[np.float32]]:
    spaces = sorted(features.spaces)
    cut = zip(spaces, features.slices, strict=True)
    return {space: row[places] for space, places in cut if row[places].any()}


def _once(made: Classifier, features: Features, text: str, vectors: Any) -> float:
    began = time.perf_counter()
    made.said(features.row(text, vectors))
    return time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the sets that were asked for; those measured before at this commit stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=None)
    parser.add_argument("--encoder", default="")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--until", type=float, default=300.0)
    asked = parser.parse_args(arguments)
    weights = asked.models or places.models_folder()
    encoder = KeptVectors(
        make_encoder(asked.encoder, "onnx", weights, 1),
        asked.vectors,
        until_s=time.monotonic() + asked.until,
    )
    rows = Rows(encoder)
    at, path = commit(), OUT / "intents.json"
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
    known = kept if kept.get("commit") == at else {"commit": at, "encoders": {}}
    known["machine"] = machine()
    sets = known["encoders"].setdefault(encoder.name, {})
    for name in asked.sets.split(","):
        sets[name] = measure(name, asked.data, rows, draws=asked.draws)
        encoder.save()
        if name == "clinc150":
            known["speed"] = speed(asked.data, rows)
            progress(str(known["speed"]))
        keep(OUT / "intents", known, report(known))


if __name__ == "__main__":
    main()
