"""How well the check of citations tells passages that bear a sentence from those that do not.

    python -m load.bench.citing --data DIR --out load/results/citing

Sentences that people wrote or judged faithful are checked against their own passages (to be kept),
against those of another question of the same set (to be dropped), and with each number changed
(to be dropped). No model and no cluster is run; the same data give the same figures.
"""

import argparse
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kotaemon_node.domain.language import Language
from kotaemon_node.domain.sentences import sentence_spans
from kotaemon_node.engine.support import SHARE_MIN, Claim, Evidence
from load import surroundings
from load.kept import keep

SHARES = (0.3, 0.4, 0.5, 0.6, 0.7)
FAITHFUL_MIN = 3.9  # of 4, the mean of the judges
_PIECE_CHARS = 800
_CLAIMS_MAX = 400  # of a set
_SEED = 9


@dataclass(frozen=True)
class Case:
    """Sentences that the passages are known to bear."""

    question: str
    sentences: tuple[str, ...]
    passages: tuple[Evidence, ...]


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def sentences(text: str) -> tuple[str, ...]:
    """Cut a text into its sentences."""
    return tuple(text[start:end] for start, end in sentence_spans(text))


def pieces(text: str, language: Language) -> tuple[Evidence, ...]:
    """Cut a document as long passages are, overlapping by half."""
    starts = range(0, max(1, len(text) - _PIECE_CHARS // 2), _PIECE_CHARS // 2)
    return tuple(Evidence(text[at : at + _PIECE_CHARS], language) for at in starts)


def judged(data: Path) -> Iterator[Case]:
    """Answers of models that people found faithful, and the passages that these were given."""
    for row in rows(data / "mtrag_human_eval" / "dev" / "tasks.jsonl"):
        passages = tuple(Evidence(context["text"], "en") for context in row["contexts"])
        for response in row["responses"]:
            marks = next(
                (values for name, values in response["human"].items() if "aith" in name), []
            )
            scores = [float(mark) for mark in marks]
            if passages and scores and sum(scores) / len(scores) >= FAITHFUL_MIN:
                yield Case(row["turns"][-1]["text"], sentences(response["response"]), passages)


def dragonball(data: Path, language: Language) -> Iterator[Case]:
    """Facts of reference answers, and the pieces of the documents that these were made of.

    The Chinese ones compare documents, so their sentences are held against both together.
    """
    folder = data / "dragonball_finance" / "dev"
    texts = {row["doc_id"]: row["text"] for row in rows(folder / "documents.jsonl")}
    for row in rows(folder / "queries.jsonl"):
        gold = [texts[name] for name in row["gold_docs"] if name in texts]
        if row["lang"] != language or not gold or row["type"].startswith(("Irrelevant", "无关")):
            continue
        if language == "zh":
            together = (Evidence("\n".join(gold), "zh"),)
            yield Case(row["query"], sentences(row["answers"][0]), together)
        else:
            passages = tuple(piece for text in gold for piece in pieces(text, language))
            yield Case(row["query"], tuple(row["keypoints"]), passages)


def anthropic(data: Path) -> Iterator[Case]:
    """Reference answers to questions about product documentation, and their passages."""
    folder = data / "anthropic_docs" / "dev"
    texts = {row["passage_id"]: row for row in rows(folder / "passages.jsonl")}
    for row in rows(folder / "queries.jsonl"):
        gold = [texts[name] for name in row["gold_passages"] if name in texts]
        passages = tuple(Evidence(f"{one['title']}\n{one['text']}", "en") for one in gold)
        if passages:
            yield Case(row["query"], sentences(row["answers"][0]), passages)


def figures(cases: Sequence[Case]) -> dict[str, Any]:
    """Return how many sentences are borne by their own passages, by others, and when changed."""
    draw = random.Random(_SEED)
    checked = [
        (Claim(text, case.question), case, draw.choice(_strangers(case, cases)))
        for case in cases
        for text in case.sentences
    ]
    checked = [it for it in checked if it[0].says_something]
    if len(checked) > _CLAIMS_MAX:
        checked = draw.sample(checked, _CLAIMS_MAX)
    changed = [
        (Claim(_with_other_numbers(claim.text, draw), claim.question), case)
        for claim, case, _ in checked
        if claim.numbers
    ]
    shares = {
        "own": [_best(claim, case) for claim, case, _ in checked],
        "other": [_best(claim, other) for claim, _, other in checked],
        "changed": [_best(claim, case) for claim, case in changed],
    }
    return {
        "sentences": len(checked),
        "with_numbers": len(changed),
        "at": {
            str(least): {
                name: _share(share >= least for share in found) for name, found in shares.items()
            }
            for least in SHARES
        },
    }


def _strangers(case: Case, cases: Sequence[Case]) -> list[Case]:
    """Return the cases that share no passage with this one."""
    own = {one.text for one in case.passages}
    return [one for one in cases if own.isdisjoint(it.text for it in one.passages)]


def _best(claim: Claim, case: Case) -> float:
    """Return the most of a claim's words that stand in a passage with its numbers and names."""
    bearing = [one for one in case.passages if claim.borne_by([one], share_min=0.0)]
    return max((claim.share_in([one]) for one in bearing), default=-1.0)


def _share(found: Iterator[bool]) -> float | None:
    values = list(found)
    return round(sum(values) / len(values), 4) if values else None


def _with_other_numbers(text: str, draw: random.Random) -> str:
    return re.sub(r"\d+", lambda found: str(int(found[0]) + draw.randint(1, 9)), text)


def report(found: Mapping[str, Any]) -> str:
    """Return the Markdown."""
    lines = [
        "# Which citations of a model are kept",
        "",
        f"Commit {found['commit']}, {found['machine']}. A sentence keeps its mark when this share"
        " of its telling words, and all of its numbers and names, stand in the passage"
        f" (`SHARE_MIN` is {SHARE_MIN}). Dev halves only.",
        "",
        "**own**: sentences known to be right, against their own passages (should be kept)."
        " **other**: the same against those of another question of the set; **changed**: with every"
        " number changed (both should be dropped; the best of several passages counts).",
        "",
        "| set | sentences | share | own | other | changed |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found["sets"].items():
        for share, values in one["at"].items():
            bold = "**" if float(share) == SHARE_MIN else ""
            shown = " | ".join(
                "-" if values[it] is None else f"{values[it]:.3f}"
                for it in ("own", "other", "changed")
            )
            lines.append(f"| {name} | {one['sentences']} | {bold}{share}{bold} | {shown} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    sets = {
        "mtrag_human_eval": list(judged(asked.data)),
        "dragonball_finance, en": list(dragonball(asked.data, "en")),
        "dragonball_finance, zh": list(dragonball(asked.data, "zh")),
        "anthropic_docs": list(anthropic(asked.data)),
    }
    found = {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "sets": {name: figures(cases) for name, cases in sets.items()},
    }
    keep(asked.out, found, report(found))


if __name__ == "__main__":
    main()
