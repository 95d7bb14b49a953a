"""How safe it is to take a similar question for the same one: wrong hits by threshold.

Each question is asked where all others of its set are known already, and takes the answer of the
nearest one when that is near enough. The hit is wrong where the two have other right answers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.engine.answer_name import normal_question
from kotaemon_node.engine.similar import skeleton
from kotaemon_node.ports.encoder import Encoder

THRESHOLDS: Final = (0.80, 0.85, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)
_BATCH: Final = 32
_SAMPLE: Final = 400


@dataclass(frozen=True, slots=True)
class Labelled:
    """Questions with what answers each; two with nothing in common have other answers."""

    name: str
    texts: tuple[str, ...]
    answers: tuple[frozenset[str], ...]


def similar_questions(data: Path, encoder: Encoder) -> dict[str, Any]:
    """Return the curves of all sets."""
    read = _Sets(data)
    results: dict[str, Any] = {"pairs": _pairs(read.pairs(), encoder), "sets": {}}
    for one, sample in read.labelled():
        results["sets"][one.name] = {
            "alone": _alone(sample, encoder),
            "same_words": _same_words(one, encoder),
        }
    return results


def _pairs(rows: Sequence[Mapping[str, Any]], encoder: Encoder) -> dict[str, Any]:
    ones = [row["question_1"] for row in rows]
    others = [row["question_2"] for row in rows]
    near = np.array(_closeness(ones, others, encoder))
    same = np.array([bool(row["similar"]) for row in rows])
    return {
        f"{threshold:.2f}": {
            "found": int((same & (near >= threshold)).sum()),
            "of_same": int(same.sum()),
            "wrong": int((~same & (near >= threshold)).sum()),
            "of_other": int((~same).sum()),
        }
        for threshold in THRESHOLDS
    }


def _closeness(ones: Sequence[str], others: Sequence[str], encoder: Encoder) -> list[float]:
    """Return the cosine of each pair in the space where it is least; -1 where none is shared."""
    left, right = _vectors(ones, encoder), _vectors(others, encoder)
    return [
        min((float(a[space] @ b[space]) for space in a.keys() & b.keys()), default=-1.0)
        for a, b in zip(left, right, strict=True)
    ]


def _alone(one: Labelled, encoder: Encoder) -> dict[str, Any]:
    """Take the nearest question of all for the same one."""
    vectors = _vectors(one.texts, encoder)
    rows: list[tuple[float, bool]] = []
    for space in sorted({space for found in vectors for space in found}):
        own = [at for at, found in enumerate(vectors) if min(found, default="") == space]
        if len(own) < 2:
            continue
        table = np.stack([vectors[at][space] for at in own])
        near = table @ table.T
        np.fill_diagonal(near, -1.0)
        for row, at in enumerate(own):
            best = own[int(near[row].argmax())]
            rows.append((float(near[row].max()), bool(one.answers[at] & one.answers[best])))
    return _counted(rows, len(one.texts))


def _same_words(one: Labelled, encoder: Encoder) -> dict[str, Any]:
    """Do as the product: the last known question of the same skeleton."""
    known: dict[str, int] = {}
    pairs: list[tuple[int, int]] = []
    for at, text in enumerate(one.texts):
        bones = skeleton(text)
        if bones and bones in known:
            pairs.append((known[bones], at))
        known[bones] = at
    near = _closeness(
        [one.texts[before] for before, _ in pairs], [one.texts[at] for _, at in pairs], encoder
    )
    right = [bool(one.answers[before] & one.answers[at]) for before, at in pairs]
    return _counted(list(zip(near, right, strict=True)), len(one.texts))


def _counted(rows: Sequence[tuple[float, bool]], questions: int) -> dict[str, Any]:
    counts = {}
    for threshold in (-1.0, *THRESHOLDS):
        hits = [right for near, right in rows if near >= threshold]
        name = f"{threshold:.2f}" if threshold > 0 else "any"
        counts[name] = {"hits": len(hits), "wrong": hits.count(False)}
    return {"questions": questions, "by_threshold": counts}


def _vectors(texts: Sequence[str], encoder: Encoder) -> list[dict[str, NDArray[np.float32]]]:
    found: list[dict[str, NDArray[np.float32]]] = [{} for _ in texts]
    for start in range(0, len(texts), _BATCH):
        for space, rows in encoder.encode_queries(list(texts[start : start + _BATCH])).items():
            for position, vector in zip(rows.positions.tolist(), rows.vectors, strict=True):
                found[start + position][space] = vector
    return found


class _Sets:
    """Reads what is labelled, each set in its own form."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def pairs(self) -> list[Mapping[str, Any]]:
        """Return pairs of which people said whether they ask the same."""
        return self._rows("covid_faq/dev/pairs")

    def labelled(self) -> list[tuple[Labelled, Labelled]]:
        """Return the sets, none of whose questions is asked twice; of each all and a sample."""
        insurance = self._rows("insuranceqa_en_zh/dev/queries")
        golds = [frozenset(row["gold_answers"]) for row in insurance]
        xquad = [row for row in self._rows("xquad_en_zh/dev/queries") if row["lang"] == "en"]
        cmrc = self._rows("cmrc2018_dev/dev/queries")
        made = [
            ("insuranceqa en", [row["query_en"] for row in insurance], golds),
            ("insuranceqa zh", [row["query_zh"] for row in insurance], golds),
            ("xquad en", [row["query"] for row in xquad], _answers(xquad)),
            ("cmrc zh", [row["query"] for row in cmrc], _answers(cmrc)),
            *map(self._intents, ("banking77", "clinc150", "bitext_cs", "cic_zh")),
        ]
        whole = [_once(*one) for one in made]
        return [(one, _sample(one)) for one in whole]

    def _intents(self, name: str) -> tuple[str, list[str], list[frozenset[str]]]:
        """Return questions whose intent stands for the answer: kinder than an answer would be."""
        rows = self._rows(f"{name}/dev/intents")
        return name, [row["text"] for row in rows], [frozenset({row["intent"]}) for row in rows]

    def _rows(self, name: str) -> list[Mapping[str, Any]]:
        lines = (self._data / f"{name}.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]


def _answers(rows: Sequence[Mapping[str, Any]]) -> list[frozenset[str]]:
    """Return the strings that answer, each with its passage: "1990" answers two questions."""
    return [
        frozenset(f"{gold} {answer}" for gold in row["gold_passages"] for answer in row["answers"])
        for row in rows
    ]


def _once(name: str, texts: Sequence[str], answers: Sequence[frozenset[str]]) -> Labelled:
    """Leave out what is the same question anyway."""
    kept: dict[str, int] = {}
    for at, text in enumerate(texts):
        kept.setdefault(normal_question(text), at)
    places = sorted(kept.values())
    return Labelled(name, tuple(texts[at] for at in places), tuple(answers[at] for at in places))


def _sample(one: Labelled) -> Labelled:
    """Leave out what would take minutes to encode."""
    step = max(1, len(one.texts) // _SAMPLE)
    return Labelled(one.name, one.texts[::step], one.answers[::step])
