"""What a run takes of a data set: a sample of its questions, and perhaps not all documents.

Who is in is decided by a hash of name and seed, so that it stays the same whatever else is there.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from kotaemon_node.evaluation.errors import ExperimentError
from kotaemon_node.evaluation.sets.form import DataSet, Question


def sampled(data: DataSet, *, questions_max: int | None, seed: int) -> DataSet:
    """Return the set with at most ``questions_max`` questions, in their order."""
    if questions_max is None or questions_max >= len(data.questions):
        return data
    drawn = sorted(data.questions, key=lambda it: _drawn(it.id, seed))[:questions_max]
    kept = {it.id for it in drawn}
    return replace(data, questions=[it for it in data.questions if it.id in kept])


def without(data: DataSet, *, left_out: float, seed: int) -> DataSet:
    """Return the set without that share of its documents, whole groups at a time.

    Questions whose gold is all gone have no answer any more: what a run says to them is judged.
    Raises ``ExperimentError`` for documents that are files of somebody's folder.
    """
    if not left_out:
        return data
    if data.folder is not None:
        raise ExperimentError("evaluation.left_out: documents of a folder cannot be left out")
    kept = [it for it in data.documents if _drawn(it.group or it.name, seed) >= left_out]
    names = {it.name for it in kept}
    return replace(data, documents=kept, questions=_answerable(data.questions, names))


def _answerable(questions: Sequence[Question], names: set[str]) -> list[Question]:
    found = []
    for it in questions:
        gold = {name: grade for name, grade in it.gold.items() if name in names}
        answerable = it.answerable and (bool(gold) or not it.gold)
        found.append(replace(it, gold=gold, answerable=answerable))
    return found


def _drawn(name: str, seed: int) -> float:
    """Return a number in [0, 1) that the name and the seed decide."""
    digest = hashlib.sha256(f"{seed}|{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
