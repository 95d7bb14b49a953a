"""The figures of retrieval as Markdown, beside those that others report."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Final

_SHOWN: Final = ("ndcg@10", "recall@5", "mrr@10")
_KINDS: Final = ("lexical", "dense", "hybrid")
_ALLOWED: Final = 0.02  # hybrid may be so much below the better leg

# Of the reference BM25 that the data folder brings, on the same halves, whole: a right passage
# first, among five, mean reciprocal rank. And what is published, all for the full sets; checked:
# read in the paper or its repository.
BESIDE: Final[Mapping[str, tuple[str, str]]] = {
    "xquad-en": ("0.941 / 0.998 / 0.967", "all-MiniLM-L6-v2 recall@1 .885, @10 .990 (checked)"),
    "xquad-zh": (
        "0.948 / 0.996 / 0.969",
        "all-MiniLM-L6-v2 recall@1 .141, @10 .373; multilingual MiniLM-L12 @5 .925 (checked)",
    ),
    "xquad-zh-en": ("0.164 / 0.210 / 0.184", "-"),
    "cranfield": ("0.438 / 0.723 / 0.566", "-"),
    "tidb-faq-zh": ("0.656 / 0.869 / 0.743", "-"),
    "anthropic-docs": ("0.837 / 0.930 / 0.869", "-"),
    # Not covid-faq: the reference matches questions with questions there, and not with answers.
    "hotpot": ("0.880 / 0.980 / 0.915", "-"),
    "mtrag-un": (
        "0.765 / 0.898 / 0.815",
        "on 100 times the passages, recall@5: BM25 .20, BGE-base .30, Elser .49 (checked)",
    ),
    "insuranceqa-en": ("0.520 / 0.710 / 0.600", "-"),
    "insuranceqa-zh": ("0.396 / 0.581 / 0.481", "-"),
    "cmrc2018": ("0.978 / 0.998 / 0.987", "-"),
    "drcd": ("0.938 / 0.993 / 0.963", "-"),
    "dureader": ("0.454 / 0.959 / 0.645", "-"),
    "cacm": ("0.765 / 0.941 / 0.850", "BM25 MAP .312 on the whole set (checked)"),
    "domainrag-zh": ("0.577 / 0.920 / 0.730", "-"),
    "redis-docs": ("0.419 / 0.728 / 0.550", "-"),
    "tidb-docs-zh": ("0.258 / 0.594 / 0.397", "-"),
    "dify-docs-en": ("0.303 / 0.546 / 0.409", "-"),
    "dify-docs-zh": ("0.300 / 0.605 / 0.426", "-"),
    "covidqa-long": ("0.562 / 0.803 / 0.665", "-"),
    "dstc11-reviews": ("0.066 / 0.204 / 0.129", "-"),
}


def report(sets: Mapping[str, Any], *, at: str, where: str) -> str:
    """Return the figures; ``at`` is the commit, ``where`` the machine."""
    lines = [
        "# Retrieval",
        "",
        f"Made by `python -m load.bench.retrieval` at commit {at}; {where}; on the tuning halves,",
        "of the larger sets on a part of the documents and of the questions about them.",
        "Lexical is BM25 alone, dense is vectors alone, hybrid is both; the difference is hybrid",
        "minus the better one, with p of a paired randomisation test against that one.",
    ]
    for metric in _SHOWN:
        lines += _table(sets, metric)
    lines += _misses(sets)
    lines += _given(sets)
    lines += _beside(sets)
    return "\n".join(lines) + "\n"


def _table(sets: Mapping[str, Any], metric: str) -> list[str]:
    rows = [(name, *_figures(it, metric)) for name, it in sets.items()]
    lines = ["", f"## {metric}", "", "| set | n | lexical | dense | hybrid | difference | p |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, means, difference, p in rows:
        cells = " | ".join(f"{mean:.3f}" for mean in means)
        lines.append(
            f"| {name} | {sets[name]['questions']} | {cells} | {difference:+.3f} | {p:.3f} |"
        )
    average = [fmean(means[at] for _, means, _, _ in rows) for at in range(len(_KINDS))]
    cells = " | ".join(f"**{mean:.3f}**" for mean in average)
    lines.append(f"| **average** | | {cells} | {average[2] - max(average[:2]):+.3f} | |")
    return lines


def _figures(it: Mapping[str, Any], metric: str) -> tuple[list[float], float, float]:
    """Return the means by retriever, hybrid minus the better leg, and p against that one."""
    means = [it["figures"][kind][metric]["mean"] for kind in _KINDS]
    better = _KINDS[0] if means[0] >= means[1] else _KINDS[1]
    against = it["hybrid_against"][better][metric]
    return means, against["difference"], against["p"]


def _misses(sets: Mapping[str, Any]) -> list[str]:
    missed = [
        f"{name} {metric} {difference:+.3f}"
        for name, it in sets.items()
        for metric in ("ndcg@10", "recall@5")
        if (difference := _figures(it, metric)[1]) < -_ALLOWED
    ]
    return ["", f"More than 2 points below the better leg: {', '.join(missed) or 'on no set'}."]


def _given(sets: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        "## Passages that an answer is made of",
        "",
        "Found: the best four. Given: those that are not clearly weaker than the best one. Recall",
        "is the share of the right documents among them, right the share of passages that are.",
        "",
        "| set | found: recall | right | given | recall | right |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    rows = [(it["given"]["found"], it["given"]["given"]) for it in sets.values()]
    for name, (found, given) in zip(sets, rows, strict=True):
        lines.append(_given_row(name, found, given))
    keys = ("passages", "recall", "right")
    means = [{key: fmean(row[at][key] for row in rows) for key in keys} for at in (0, 1)]
    lines.append(_given_row("**average**", *means))
    return lines


def _given_row(name: str, found: Mapping[str, float], given: Mapping[str, float]) -> str:
    return (
        f"| {name} | {found['recall']:.3f} | {found['right']:.2f} | {given['passages']:.1f} "
        f"| {given['recall']:.3f} | {given['right']:.2f} |"
    )


def _beside(sets: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        "## Beside the figures of others",
        "",
        "Reference BM25 (characters and pairs, no stemmer, all words of the question) is measured",
        "on whole halves: right passage first / among five / MRR. Published figures are of full",
        "sets: they say what is usual, and nothing here beats them or falls behind. Recall is the",
        "share of all right documents, and so lower than the reference where there are several.",
        "",
        "| set | hybrid recall@1 / recall@5 / mrr@10 | part | reference BM25 | published |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, it in sets.items():
        reference, published = BESIDE.get(name, ("-", "-"))
        figures: Sequence[float] = [
            it["figures"]["hybrid"][metric]["mean"] for metric in ("recall@1", "recall@5", "mrr@10")
        ]
        ours = " / ".join(f"{figure:.3f}" for figure in figures)
        part = f"{1 - it['part'].get('left_out', 0.0):.0%}"
        lines.append(f"| {name} | {ours} | {part} | {reference} | {published} |")
    return lines
