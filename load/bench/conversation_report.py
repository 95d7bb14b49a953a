"""The figures of conversations as Markdown."""

from collections.abc import Mapping
from typing import Any, Final

_WAYS: Final = ("raw", "rules", "joined", "reference")


def report(found: Mapping[str, Any]) -> str:
    """Return the report."""
    commits = {
        it["commit"] for group in found.values() if isinstance(group, dict) for it in group.values()
    }
    lines = [
        "# Conversations",
        "",
        f"Made by `python -m load.bench.conversation` at {', '.join(sorted(commits))}, on"
        f" {found['machine']}, on the tuning halves; hybrid search as the product does it.",
    ]
    lines += _conversations(found.get("conversations", {}))
    lines += _ranks(found.get("conversations", {}))
    lines += _alone(found.get("alone", {}))
    lines += _rewrites(found.get("rewrites", {}))
    lines += _spoken(found.get("spoken", {}))
    lines += _hops(found.get("options", {}).get("hops"))
    return "\n".join(lines) + "\n"


def _conversations(sets: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        "## recall@5 of turns that have something before them",
        "",
        "raw: the turn as asked; rules: as it is searched by default; joined: behind all that its",
        "user said before; reference: as a person rewrote it. p: rules against raw. leaks: share",
        "of turns before which a gold document was said word for word.",
        "",
        "| set | n | raw | rules | joined | reference | rules - raw | p | changed | helped | hurt"
        " | leaks |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [_row(name, it, leaks=True) for name, it in sets.items()]
    if sets:
        means = [_mean(sets, way) for way in ("raw", "rules", "joined")]
        cells = [f"{mean:.3f}" for mean in means]
        lines.append(f"| mean | | {' | '.join(cells)} | | {means[1] - means[0]:+.3f} |" + " |" * 5)
    return lines


def _ranks(sets: Mapping[str, Any]) -> list[str]:
    """Return how far up the right document stands: what was said before stands high, too."""
    lines = [
        "",
        "## recall@1 and mrr@10 of the same turns",
        "",
        "| set | raw | rules | joined | reference | raw | rules | joined | reference |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, it in sets.items():
        cells = [
            f"{it['figures'][way][metric]['mean']:.3f}" if way in it["figures"] else ""
            for metric in ("recall@1", "mrr@10")
            for way in _WAYS
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _alone(sets: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        "## recall@5 of questions that stand alone, behind another one of the set",
        "",
        "| set | n | raw | rules | joined | reference | rules - raw | p | changed | helped"
        " | hurt |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    return lines + [_row(name, it, leaks=False) for name, it in sets.items()]


def _row(name: str, it: Mapping[str, Any], *, leaks: bool) -> str:
    figures = it["figures"]
    cells = [f"{figures[way]['recall@5']['mean']:.3f}" if way in figures else "" for way in _WAYS]
    against = it["rules_against_raw"]["recall@5"]
    cells += [f"{against['difference']:+.3f}", f"{against['p']:.4f}"]
    cells += [str(it[each]) for each in ("changed", "helped", "hurt")]
    if leaks:
        cells.append(f"{it['leaks']:.2f}")
    return f"| {name} | {it['questions']} | {' | '.join(cells)} |"


def _mean(sets: Mapping[str, Any], way: str) -> float:
    means = [it["figures"][way]["recall@5"]["mean"] for it in sets.values()]
    return float(sum(means) / len(means))


def _rewrites(sets: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        "## Against rewrites by people",
        "",
        "changed: of turns that people changed; named: share of the words they added that the",
        "rules added, too; F1 of words with theirs, as asked and by rules; unchanged: of turns",
        "that people left.",
        "",
        "| set | n | changed | named | F1 as asked | F1 rules | left n | unchanged | ms each |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, it in sets.items():
        shown = ("changed", "added_words_named", "f1_as_asked", "f1", "alone", "unchanged")
        cells = ["" if it[each] is None else str(it[each]) for each in (*shown, "ms_each")]
        lines.append(f"| {name} | {it['needy']} | {' | '.join(cells)} |")
    return lines


def _spoken(sets: Mapping[str, Any]) -> list[str]:
    ways = ("published", "published_written", "spoken", "spoken_written")
    lines = [
        "",
        "## Spoken wording",
        "",
        "spoken: with greetings, hesitation and slang put in by a program; written: taken out",
        "again by the rules. changed: of the published ones.",
        "",
        "| set | n | changed | metric | published | written | spoken | written |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, it in sets.items():
        for metric in ("recall@5", "mrr@10"):
            cells = " | ".join(f"{it[metric][way]:.3f}" for way in ways)
            lines.append(f"| {name} | {it['questions']} | {it['changed']} | {metric} | {cells} |")
    return lines


def _hops(it: Mapping[str, Any] | None) -> list[str]:
    if it is None:
        return []
    lines = [
        "",
        "## Questions of two hops (hotpot)",
        "",
        f"Share of the {it['questions']} questions whose gold passages are all among the first k;"
        f" the rules split {it['split']} of them.",
        "",
        "| k | whole | split | whole, of those split | split, of those split |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    every, of_split = it["all_gold"], it["all_gold_of_split"]
    for k in every["rewrite"]:
        cells = [group[way][k] for group in (every, of_split) for way in ("rewrite", "multi_hop")]
        lines.append(f"| {k} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
    return lines
