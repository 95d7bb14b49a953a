"""Figures of extractive answers as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from answer_figures import BARS

_COLUMNS: Final = (
    ("questions", "questions"),
    ("answered", "answered"),
    ("answer_contained", "answer in text"),
    ("gold_cited", "gold cited"),
    ("first_citation_right", "1st citation right"),
    ("gold_first", "gold 1st"),
    ("gold_found", "gold found"),
    ("pieces", "sentences"),
    ("chars", "characters"),
)


_INTRODUCTION: Final = """\
# Extractive answers

Made by `load/bench/answers.py`, which says what is measured, through the product's own search,
FAQ and generator. Shares are of all questions of a set, those of citations of the answered ones.
Every set here has an answer to each of its questions; `answer in text` is whether one of the right
strings stands in what was shown (dragonball: one of its reference sentences).
"""
_DONT_KNOW: Final = """
## I don't know

The same questions, or others, where no passage answers: documents left out (a whole article of a
reading set, or only its answering passage: *rest of the article*), questions that people marked as
unanswerable, only noise around an answer, and talk about other things. One threshold for all sets
and both languages; errors are means over the sets, each counting the same. *Before* is closeness
plus coverage alone, without words side by side, numbers and names.
"""
_ELSEWHERE: Final = """
*Before* is at 0.55, the threshold that was used then.

A threshold that a set had no part in, chosen by the least mean of both errors on the other sets:
"""


def report(results: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    cpu = results["cpu_ms"]
    now = results["dont_know"]["now"]["sets"]
    return "\n".join(
        [
            _INTRODUCTION,
            f"Commit {results['commit']}, {results['machine']}, encoder `{results['encoder']}`,",
            f"evidence needed {results['evidence_min']}. CPU time, median: {cpu['search']} ms a",
            f"search (encoding aside), {cpu['extract']} ms an answer.",
            "",
            *_answers(results["sets"]),
            _DONT_KNOW,
            *_curve(**results["dont_know"]),
            "",
            f"At {results['evidence_min']}, by set:",
            "",
            *_by_set(results, **results["dont_know"]),
            _ELSEWHERE,
            *_table(
                ["set left out", "threshold", "false refusals", "false answers"],
                [[name, *row.values()] for name, row in results["chosen_elsewhere"].items()],
            ),
            "",
            "## Share answered by the evidence that is asked for",
            "",
            *_table(
                ["set", *map(str, BARS)],
                [[name, *(row[str(it)] for it in BARS)] for name, row in now.items()],
            ),
            "",
        ]
    )


def _answers(sets: Mapping[str, Any]) -> list[str]:
    rows = [
        [name, *(row.get(key, "") for key, _ in _COLUMNS)]
        for name, row in sets.items()
        if "gold_first" in row
    ]
    return _table(["set", *(label for _, label in _COLUMNS)], rows)


def _curve(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    head = ["evidence needed", "false refusals", "false answers", "before: refusals", "answers"]
    bars = [[it, *now["curve"][it], *before["curve"][it]] for it in map(str, BARS)]
    found: list[Sequence[object]] = [
        ["AUROC, mean over the pairs", now["auroc_mean"], before["auroc_mean"]]
    ]
    for most in now["at_refusals"]:
        rows = [it["at_refusals"][most] for it in (now, before)]
        cells = [f"{row['false_answers']} (at {row['bar']})" for row in rows]
        found.append([f"false answers at {float(most):.0%} false refusals", *cells])
    least = [it["least_balanced_error"] for it in (now, before)]
    cells = [f"{it['error']} (at {it['bar']})" for it in least]
    found.append(["least mean of both errors", *cells])
    return [*_table(head, bars), "", *_table(["", "now", "before"], found)]


def _by_set(
    results: Mapping[str, Any], now: Mapping[str, Any], before: Mapping[str, Any]
) -> list[str]:
    bar = str(results["evidence_min"])
    head = ["no answer in store", "questions", "answered", "before", "twin refused", "AUROC"]
    rows = [
        [
            name,
            results["sets"][name]["questions"],
            now["sets"][name][bar],
            before["sets"][name]["0.55"],
            round(1 - now["sets"][twin][bar], 3),
            now["auroc"][name],
            before["auroc"][name],
        ]
        for name, twin in results["twins"].items()
    ]
    return _table([*head, "before"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return [*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)]
