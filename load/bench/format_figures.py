"""Figures of how files of every format were read, and how they are shown."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from load.bench.format_words import cell_recall, recall

GOAL_RECALL = 0.95
LOW_RECALL = 0.9
Outcome = Literal["text", "no text", "encrypted", "damaged", "not supported", "CRASH"]
# In this order: a damaged file may be called by its kind as well.
_OUTCOMES: tuple[tuple[Outcome, str], ...] = (
    ("CRASH", r"CRASH"),
    ("encrypted", r"password|DRM"),
    ("damaged", r"damaged|broken|encoding is not recognised|binary file"),
    ("no text", r"no text|without text|is empty"),
)


@dataclass(frozen=True, slots=True)
class Study:
    """Why a file came out as it did. ``wrong_reference``: what we have is better."""

    cause: str
    wrong_reference: bool = False


# Nothing here changes how a file is read; it says what was found by looking at it.
STUDIES: Mapping[str, Study] = {
    "XiaoBiaoSong.pdf": Study("reference is mojibake (GBK read as Latin-1); ours is Chinese", True),
    "issue14999_reduced.pdf": Study("reference lists names of glyphs instead of letters", True),
    "issue-842-example.pdf": Study("reference repeats what is printed four times as shadow", True),
    "fake-bold-sample.pdf": Study("reference has the letters one by one, each twice", True),
    "issue6387.pdf": Study("vertical Japanese, three columns side by side: read by rows"),
    "issue2948.pdf": Study("a paragraph rotated by 10 degrees is cut into rows"),
    "xlsx_06_edge_cases_.xlsx": Study("an FAQ does not repeat the names of its columns"),
    "issue8372.pdf": Study(
        "the reference program found no text; ours is the text of the page", True
    ),
    "auth-event-ef-open.pdf": Study("only its attachment is encrypted; its page can be read", True),
    "r6-user-password.pdf": Study(
        "opens with its password only, which the list does not have", True
    ),
}


@dataclass(frozen=True, slots=True)
class Case:
    """A file and what is expected of it. ``name`` is what it is called when it is read."""

    set: str
    format: str
    path: Path
    name: str
    expected: str
    """ "read": text, or that it has none, or that its format is not supported; "refused"; "any"."""
    truth: Sequence[str] | None
    cells: Sequence[Sequence[str]] = field(default=())


@dataclass(frozen=True, slots=True)
class Read:
    """What became of a file. ``words`` are those of its text."""

    case: Case
    words: Sequence[str]
    reason: str
    outcome: Outcome
    took_ms: float
    size_bytes: int

    @property
    def compared(self) -> bool:
        """Whether there is a text and something to compare it with."""
        return self.outcome == "text" and bool(self.case.truth)

    @property
    def recall(self) -> float:
        """Which share of the reference's words arrived."""
        return recall(self.words, self.case.truth or ())

    @property
    def precision(self) -> float:
        """Which share of our words the reference has."""
        return recall(self.case.truth or (), self.words)

    @property
    def missing(self) -> list[str]:
        """Words of the reference that we do not have."""
        ours = set(self.words)
        return list(dict.fromkeys(word for word in self.case.truth or () if word not in ours))

    @property
    def as_expected(self) -> bool:
        """Whether it was read or refused as it should be."""
        if self.outcome == "CRASH":
            return False
        if self.case.expected == "read":
            return self.outcome in {"text", "no text", "not supported"}
        return self.case.expected == "any" or self.outcome != "text"

    @property
    def study(self) -> Study:
        """What is known of it."""
        return STUDIES.get(self.case.path.name, Study("not studied"))


def outcome(text: str, reason: str) -> Outcome:
    """Return the kind of a result."""
    if text:
        return "text"
    return next((kind for kind, signs in _OUTCOMES if re.search(signs, reason)), "not supported")


def figures(found: Sequence[Read]) -> dict[str, Any]:
    """Return the figures of each set and format, and the files to look at."""
    groups: dict[str, list[Read]] = {}
    for it in found:
        groups.setdefault(f"{it.case.set}: {it.case.format}", []).append(it)
    low = [it for it in found if it.compared and it.recall < LOW_RECALL]
    return {
        "files": len(found),
        "formats": {name: _group(group) for name, group in groups.items()},
        "unexpected": [
            f"{it.case.path.name}: {it.outcome} {it.reason}"
            for it in found
            if not it.as_expected and not it.study.wrong_reference
        ],
        "better": {
            it.case.path.name: it.study.cause
            for it in found
            if it.study.wrong_reference and it.outcome != "CRASH"
        },
        "low": [
            {
                "file": it.case.path.name,
                "recall": it.recall,
                "missing": it.missing[:8],
                "cause": it.study.cause,
            }
            for it in sorted(low, key=lambda it: it.recall)
            if not it.study.wrong_reference
        ],
        "reasons": dict(Counter(it.reason for it in found if it.outcome != "text").most_common(60)),
    }


def _group(group: Sequence[Read]) -> dict[str, Any]:
    compared = [it for it in group if it.compared and not it.study.wrong_reference]
    with_cells = [it for it in compared if it.case.cells]
    mb = sum(it.size_bytes for it in group) / 1024**2
    return {
        "files": len(group),
        "outcomes": dict(Counter(it.outcome for it in group).most_common()),
        "compared": len(compared),
        "recall_mean": fmean(it.recall for it in compared) if compared else None,
        "recall_min": min(it.recall for it in compared) if compared else None,
        "precision_mean": fmean(it.precision for it in compared) if compared else None,
        "cell_recall_mean": (
            fmean(cell_recall(it.words, it.case.cells) for it in with_cells) if with_cells else None
        ),
        "ms_per_mb": sum(it.took_ms for it in group) / mb,
        "longest_ms": max(it.took_ms for it in group),
    }


def within_goal(found: Mapping[str, Any]) -> bool:
    """Return whether every file got its text or its reason, and the words arrived."""
    means = [it["recall_mean"] for it in found["formats"].values()]
    return not found["unexpected"] and all(it is None or it >= GOAL_RECALL for it in means)


def report(found: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = [
        "# What becomes of files of every format",
        "",
        "Made by `python -m load.bench.formats`; what is measured stands there. The goal: text or",
        f"a reason for every file, and a mean word recall of {GOAL_RECALL} in each format that has",
        "references. Recall and precision count different words; a cell counts when its words",
        "stand in one piece in our text.",
        "",
        f"Commit {found['commit']}, {found['machine']}; {found['files']} files ({found['half']}).",
        "",
        "| set: format | files | outcomes | compared | recall mean | recall min | precision"
        " | cells | ms per MB | longest ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_row(name, group) for name, group in found["formats"].items()),
        "",
        f"Neither read nor refused as expected: {len(found['unexpected'])}.",
        *(f"- {one}" for one in found["unexpected"]),
        "",
        f"## Files with a recall below {LOW_RECALL}",
        "",
        "| file | recall | missing, for instance | cause |",
        "|---|---|---|---|",
        *(
            f"| {it['file']} | {it['recall']:.2f} | {' '.join(it['missing'])} | {it['cause']} |"
            for it in found["low"]
        ),
        "",
        "## References that are wrong",
        "",
        "They are soft: other programs' results. These are left out of the figures above.",
        "",
        *(f"- {name}: {cause}" for name, cause in found["better"].items()),
        "",
        "## Reasons that owners are told",
        "",
        *(f"- {count} × {reason}" for reason, count in found["reasons"].items()),
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, group: Mapping[str, Any]) -> str:
    outcomes = ", ".join(f"{count} {kind}" for kind, count in group["outcomes"].items())
    shares = (
        "-" if group[key] is None else f"{group[key]:.3f}"
        for key in ("recall_mean", "recall_min", "precision_mean", "cell_recall_mean")
    )
    cells = [name, group["files"], outcomes, group["compared"], *shares]
    return (
        "| "
        + " | ".join(map(str, cells))
        + (f" | {group['ms_per_mb']:.0f} | {group['longest_ms']:.0f} |")
    )
