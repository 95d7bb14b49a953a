"""Measures which questions an FAQ answers by itself, and how often with the wrong entry.

By words alone, on sets of questions that people sorted by what they ask: two questions of which one
would answer the other are right where they are sorted alike. Then on a knowledge base: the entries
of two public FAQs are searched by the pods' own searcher and asked for in other words. Only the
tuning halves are read.

    python -m load.bench.faq --data FOLDER [--out load/results/faq]
"""

import argparse
import csv
import json
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.engine.faq import faq_answer
from kotaemon_node.engine.wording import Wording, same_text, say_same, wording_of
from kotaemon_node.evaluation.building import CoordinatorBuild
from kotaemon_node.evaluation.opening import opened
from kotaemon_node.local import places, preflight
from kotaemon_node.retrieval.dense import EncodedQuestion
from kotaemon_node.retrieval.searcher import Encode
from load.kept import keep
from load.surroundings import commit, machine
from tests.unit.test_faq_answer import OTHERS, SAME

OUT: Final = Path("load/results/faq")
INTENTS: Final = ("banking77", "clinc150", "bitext_cs", "natcs_intents")
VARIANTS: Final = 20
ASKED_MAX: Final = 300
SEED: Final = 3
POLITE: Final = {"en": "Hi, could you please tell me: {}", "zh": "你好，请问{}"}

Sorted = Sequence[tuple[str, str]]
"""Questions and what they ask."""


def main() -> int:
    """Measure, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    sets = {name: _intents(asked.data, name) for name in INTENTS}
    results = {
        "commit": commit(),
        "machine": machine(),
        "seed": SEED,
        "by_words": {name: by_words(questions) for name, questions in sets.items()},
        "with_variants": {name: with_variants(questions) for name, questions in sets.items()},
        "pairs": pairs(_rows(asked.data, "covid_faq/dev/pairs")),
        "searched": searched(asked.data),
    }
    keep(asked.out, results, report(results))
    return 0


def by_words(questions: Sorted) -> Mapping[str, int]:
    """Return how many pairs say the same, and of how many of them people say otherwise."""
    said: dict[str, list[tuple[Wording, str]]] = defaultdict(list)
    for text, kind in questions:
        wording = wording_of(text)
        # What says the same has the same characters, in whatever order.
        said["".join(sorted("".join(wording.said)))].append((wording, kind))
    same = other = answered = 0
    for near in said.values():
        for at, (wording, kind) in enumerate(near):
            alike = [its for its, _ in enumerate(near) if say_same(wording, near[its][0])]
            answered += len(alike) > 1
            later = [near[its][1] for its in alike if its > at]
            same += later.count(kind)
            other += len(later) - later.count(kind)
    return {"questions": len(questions), "answered": answered, "pairs": same, "wrong": other}


def with_variants(questions: Sorted) -> Mapping[str, int]:
    """Return what an FAQ of one entry a kind with 20 ways to ask answers of all other questions."""
    of_kind: dict[str, list[str]] = defaultdict(list)
    for text, kind in questions:
        of_kind[kind].append(text)
    entries: dict[str, list[tuple[Wording, str]]] = defaultdict(list)
    rest: list[tuple[str, str]] = []
    for kind, texts in of_kind.items():
        for text in texts[:VARIANTS]:
            wording = wording_of(text)
            entries["".join(sorted("".join(wording.said)))].append((wording, kind))
        rest += [(text, kind) for text in texts[VARIANTS:]]
    right = wrong = 0
    for text, kind in rest:
        wording = wording_of(text)
        near = entries.get("".join(sorted("".join(wording.said))), ())
        found = next((its for known, its in near if say_same(wording, known)), None)
        right += found == kind
        wrong += found not in (None, kind)
    return {"asked": len(rest), "right": right, "wrong": wrong}


def pairs(rows: Iterable[Mapping[str, Any]]) -> Mapping[str, int]:
    """Return what the rule says of pairs that people judged."""
    told: dict[str, int] = {"similar": 0, "answered": 0, "other": 0, "wrong": 0}
    for row in rows:
        first, second = str(row["question_1"]), str(row["question_2"])
        found = same_text(first, second) or say_same(wording_of(first), wording_of(second))
        told["similar" if row["similar"] else "other"] += 1
        told["answered" if row["similar"] else "wrong"] += found
    return told


def searched(data: Path) -> Mapping[str, Any]:
    """Return what a knowledge base of two FAQs answers, by the way in which it is asked."""
    entries = [
        (str(row["question"]), str(row["answer"]), language)
        for name, language in (("covid_faq", "en"), ("tidb_faq_zh", "zh"))
        for row in _rows(data, f"{name}/dev/faq")
    ]
    entries += [
        (str(row["query_zh"]), f"{row['query_zh']} {row['gold_answers']}", "zh")
        for row in _rows(data, "insuranceqa_en_zh/dev/queries")
    ]
    some = random.Random(SEED).sample(entries, ASKED_MAX)
    ways = {
        "as written": [(question, question) for question, _, _ in some],
        "other marks and case": [(q, q.upper().rstrip("?？") + "!") for q, _, _ in some],
        "politely": [(q, POLITE[language].format(q)) for q, _, language in some],
        "others (pairs judged similar)": _pairs_of(data, similar=True),
        "others (pairs judged different)": _pairs_of(data, similar=False),
    }
    settings = preflight.read_settings()
    models = places.models_folder()
    build = CoordinatorBuild(
        settings.encoder_model, settings.encoder_backend, models, settings.encoder_threads
    )
    encoder = make_encoder(
        settings.encoder_model, settings.encoder_backend, models, settings.encoder_threads
    )
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / "documents"
        folder.mkdir()
        with (folder / "faq.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("question", "answer"))
            table.writerows((question, answer) for question, answer, _ in entries)
        built = build(folder, Path(room), lambda *_: None)
        with opened(built, encoder, {}) as base:
            return {
                "entries": len(entries),
                "encoder": encoder.name,
                "ways": {way: _asked(base.searcher, asked) for way, asked in ways.items()},
                "closeness": {
                    "same": _closeness(SAME, base.encode),
                    "other": _closeness(OTHERS, base.encode),
                },
            }


def _asked(searcher: Any, asked: Sequence[tuple[str, str]]) -> Mapping[str, int]:
    """Ask; each is the question of the right entry and what is said."""
    told = {"asked": len(asked), "exact": 0, "near": 0, "another": 0}
    for question, said in asked:
        found = faq_answer(said, searcher.search(said).hits)
        if found is None:
            continue
        if same_text(found.hit.passage.text.partition("\n")[0], question):
            told[found.match] += 1
        else:
            told["another"] += 1
    return told


def _closeness(questions: Sequence[tuple[str, str]], encode: Encode) -> Mapping[str, float]:
    """Return the cosines of questions that say the same, or something else in nearly its words."""
    found = sorted(_cosine(encode(one), encode(other)) for one, other in questions)
    return {
        "pairs": len(found),
        "least": round(found[0], 3),
        "median": round(found[len(found) // 2], 3),
        "most": round(found[-1], 3),
    }


def _cosine(one: EncodedQuestion, other: EncodedQuestion) -> float:
    return max(float(one[space] @ other[space]) for space in one)


def _pairs_of(data: Path, *, similar: bool) -> list[tuple[str, str]]:
    known = {str(row["question"]) for row in _rows(data, "covid_faq/dev/faq")}
    return [
        (str(row["question_1"]), str(row["question_2"]))
        for row in _rows(data, "covid_faq/dev/pairs")
        if bool(row["similar"]) == similar and row["question_1"] in known
    ]


def report(results: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "# What an FAQ answers by itself",
        "",
        f"Commit {results['commit']}, {results['machine']}. `python -m load.bench.faq`",
        "",
        "## By words alone",
        "",
        "Pairs of different questions of which one would answer the other; wrong: people sorted",
        "them under different heads. All of those were read, and are slips of the sorting: one",
        "sentence, with and without a hyphen or a greeting, under two heads.",
        "",
        "| set | questions | with one that says the same | pairs | wrong | share |",
        "|---|---|---|---|---|---|",
    ]
    for name, told in results["by_words"].items():
        share = told["wrong"] / max(1, told["pairs"] + told["wrong"])
        lines.append(
            f"| {name} | {told['questions']} | {told['answered']} | {told['pairs']} |"
            f" {told['wrong']} | {share:.2%} |"
        )
    lines += [
        "",
        f"One entry for each head with {VARIANTS} ways to ask, all other questions asked:",
        "",
        "| set | asked | right | wrong |",
        "|---|---|---|---|",
    ]
    for name, told in results["with_variants"].items():
        right, wrong = told["right"] / told["asked"], told["wrong"] / told["asked"]
        lines.append(f"| {name} | {told['asked']} | {right:.2%} | {wrong:.2%} |")
    told = results["pairs"]
    lines += [
        "",
        f"Of {told['similar']} pairs judged similar {told['answered']} say the same, of"
        f" {told['other']} others {told['wrong']}.",
        "",
        "## Searched",
        "",
        f"{results['searched']['entries']} entries, {results['searched']['encoder']}.",
        "",
        "| asked | questions | exact | near | another entry |",
        "|---|---|---|---|---|",
    ]
    for way, told in results["searched"]["ways"].items():
        lines.append(
            f"| {way} | {told['asked']} | {told['exact']} | {told['near']} | {told['another']} |"
        )
    lines += [
        "",
        "Of the last row, exact and near are wrong. Another entry may well be right there: a pair",
        "says only that it is not its own first question.",
        "",
        "## Closeness",
        "",
        "Cosines of the pairs of `tests/unit/test_faq_answer.py`: it cannot tell them apart.",
        "",
        "| pairs | number | least | median | most |",
        "|---|---|---|---|---|",
    ]
    for name, told in results["searched"]["closeness"].items():
        lines.append(
            f"| {name} | {told['pairs']} | {told['least']} | {told['median']} | {told['most']} |"
        )
    return "\n".join([*lines, ""])


def _intents(data: Path, name: str) -> Sorted:
    seen = {str(row["text"]): str(row["intent"]) for row in _rows(data, f"{name}/dev/intents")}
    questions = list(seen.items())
    random.Random(SEED).shuffle(questions)
    return questions


def _rows(data: Path, name: str) -> list[Mapping[str, Any]]:
    lines = (data / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines if line]


if __name__ == "__main__":
    sys.exit(main())
