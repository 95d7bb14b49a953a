"""Measures what "it" and 它 stand for, on real dialogues, beside the last name that was said.

A question counts where its user names nothing of the kind that is asked about, and what is meant
was named before. What is meant is known from the answer: by facts of the data's knowledge base,
not by where it was named.

    python -m load.bench.references --data FOLDER
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.domain.intent_book import SlotRule
from kotaemon_node.engine.intents.expressions import plain
from kotaemon_node.engine.intents.references import points_back, referent
from kotaemon_node.engine.intents.slots import SlotReader
from kotaemon_node.engine.understanding.topics import Exchange
from load.kept import keep, progress
from load.surroundings import commit, machine

OUT: Final = Path("load/results")


@dataclass(frozen=True, slots=True)
class Question:
    """One message whose object lies before it."""

    text: str
    history: tuple[Exchange, ...]
    slot: str
    meant: str


@dataclass(frozen=True, slots=True)
class Talks:
    """A set: its questions, and what reads names from texts."""

    reader: SlotReader
    questions: tuple[Question, ...]


Told = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[str, str] | None]
"""Of a message and its answer: which slot is asked about, and which name is meant."""


def _lines(folder: Path) -> list[Any]:
    path = folder / "dev" / "dialogues.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _reader(names: Mapping[str, Sequence[str]]) -> SlotReader:
    return SlotReader(
        {
            slot: SlotRule(slot, "choice", values={name: () for name in many})
            for slot, many in names.items()
        }
    )


def _questions(dialogues: Sequence[Any], reader: SlotReader, told: Told) -> Iterator[Question]:
    for dialogue in dialogues:
        turns, past = dialogue["turns"], []
        for said, answer in zip(turns[::2], turns[1::2], strict=False):
            found = told(said, answer)
            if found is not None:
                slot, meant = found
                named = reader.values(slot, plain(said["text"]))
                before = {
                    name
                    for it in past[-5:]
                    for text in (it.message, it.answer)
                    for name in reader.values(slot, plain(text))
                }
                if not named and meant in before:
                    yield Question(said["text"], tuple(past), slot, meant)
            past.append(Exchange(said["text"], answer["text"]))


def multiwoz(data: Path) -> Talks:
    """What is meant is the one place whose telephone, postcode or address the answer gives."""
    places = {
        kind: json.loads((data / "multiwoz_en" / "shared" / f"{kind}_db.json").read_text("utf-8"))
        for kind in ("attraction", "hotel", "restaurant")
    }
    reader = _reader({kind: sorted({it["name"] for it in many}) for kind, many in places.items()})

    def told(said: Mapping[str, Any], answer: Mapping[str, Any]) -> tuple[str, str] | None:
        for act in said.get("acts") or {}:
            kind, _, what = act.lower().partition("-")
            if what != "request" or kind not in places:
                continue
            given = {
                "".join(value.lower().split())
                for name, many in (answer.get("acts") or {}).items()
                if name.lower().startswith(kind)
                for field, value in many
                if field in {"Phone", "Post"}
            }
            names = {
                it["name"]
                for it in places[kind]
                if {it.get("phone", ""), it.get("postcode", "").replace(" ", "")} & given
            }
            if len(names) == 1:
                return kind, names.pop()
        return None

    dialogues = _lines(data / "multiwoz_en")
    return Talks(reader, tuple(_questions(dialogues, reader, told)))


def crosswoz(data: Path) -> Talks:
    """What is meant is the one entry that the answerer had open."""
    kinds = {"attraction": "景点", "hotel": "酒店", "restaurant": "餐馆"}
    names: dict[str, list[str]] = {}
    for file, kind in kinds.items():
        path = data / "crosswoz_zh" / "shared" / f"{file}_db.json"
        names[kind] = sorted({name for name, _ in json.loads(path.read_text("utf-8"))})
    reader = _reader(names)

    def told(said: Mapping[str, Any], answer: Mapping[str, Any]) -> tuple[str, str] | None:
        asked = {
            act[1] for act in said.get("acts") or () if act[0] == "Request" and act[2] != "名称"
        }
        chosen = answer.get("selected") or []
        if len(asked) != 1 or len(chosen) != 1:
            return None
        (kind,) = asked
        return (kind, chosen[0]) if chosen[0] in names.get(kind, ()) else None

    dialogues = _lines(data / "crosswoz_zh")
    return Talks(reader, tuple(_questions(dialogues, reader, told)))


def kdconv(data: Path) -> Talks:
    """What is meant is the one sight whose facts the answer uses."""
    dialogues = _lines(data / "kdconv_travel_zh")
    names = sorted({name for it in dialogues for name in it["entities"]})
    reader = _reader({"sight": names})

    def told(said: Mapping[str, Any], answer: Mapping[str, Any]) -> tuple[str, str] | None:
        used = {fact[0] for fact in answer.get("facts") or ()}
        asks = "?" in said["text"] or "？" in said["text"]
        return ("sight", used.pop()) if asks and len(used) == 1 else None

    return Talks(reader, tuple(_questions(dialogues, reader, told)))


SETS: Final[Mapping[str, Callable[[Path], Talks]]] = {
    "multiwoz_en": multiwoz,
    "crosswoz_zh": crosswoz,
    "kdconv_travel_zh": kdconv,
}


def last_named(question: Question, reader: SlotReader) -> str | None:
    """Return the baseline's answer: the last name that was said."""
    for exchange in reversed(question.history):
        for text in (exchange.answer, exchange.message):
            found = reader.values(question.slot, plain(text))
            if found:
                return str(found[-1])
    return None


def measure(talks: Talks) -> dict[str, Any]:
    """Return shares: what was found rightly, wrongly, asked about, or not at all."""
    counts: Counter[str] = Counter()
    for question in talks.questions:
        found = referent(
            question.text,
            DialogueState(),
            question.history,
            reader=talks.reader,
            wanted=(question.slot,),
        )
        if question.slot in found.slots:
            right = found.slots[question.slot] == question.meant
            counts["right" if right else "wrong"] += 1
        elif question.slot in found.ambiguous:
            among = question.meant in found.ambiguous[question.slot]
            counts["asked" if among else "asked_without_it"] += 1
        else:
            counts["nothing"] += 1
        baseline = last_named(question, talks.reader)
        counts["baseline_right"] += baseline == question.meant
        counts["baseline_wrong"] += baseline not in (question.meant, None)
        counts["points_back"] += points_back(question.text)
    total = len(talks.questions)
    return {"questions": total, **{name: it / total for name, it in sorted(counts.items())}}


def report(sets: Mapping[str, Mapping[str, Any]], at: str, where: str) -> str:
    """Return the report."""
    shown = ("right", "wrong", "asked", "asked_without_it", "baseline_right", "baseline_wrong")
    lines = [
        "# What messages refer to",
        "",
        f"Made by `python -m load.bench.references` at commit {at}; {where}.",
        "Questions that name nothing of the kind that they ask about, where what is meant was",
        "named within five exchanges. *Asked*: several are as good, so the user is asked which,",
        "and what is meant is among them. *Baseline*: the last name that was said; it never asks.",
        "",
        "| set | questions | right | wrong | asked | asked without it | baseline right | wrong |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, it in sets.items():
        cells = " | ".join(f"{it.get(key, 0.0):.3f}" for key in shown)
        lines.append(f"| {name} | {it['questions']} | {cells} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    asked = parser.parse_args(arguments)
    sets = {}
    for name, load in SETS.items():
        sets[name] = measure(load(asked.data))
        progress(f"{name} {sets[name]}")
    results = {"commit": commit(), "machine": machine(), "sets": sets}
    keep(OUT / "references", results, report(sets, commit(), machine()))


if __name__ == "__main__":
    main()
