"""The report of ``answer_cache`` for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def report(results: Mapping[str, Any]) -> str:
    """Return Markdown."""
    lines = ["# Hot answers", "", f"Commit {results['commit']}, {results['machine']}.", ""]
    if "hits" in results:
        lines += _hits(results["hits"])
    if "similar" in results:
        lines += _similar(results["similar"])
    return "\n".join(lines).rstrip() + "\n"


def _hits(found: Mapping[str, Any]) -> Iterator[str]:
    zipf = found["zipf"]
    yield from (
        "## A cold store",
        "",
        "1,000 distinct questions, the r-th asked with a chance that goes with 1/r^1.1; 5,000 "
        "requests. What they do with the store, and nothing else, by three seeds:",
        "",
        "| hits | made and kept | first | hit share |",
        "|---|---|---|---|",
        *(
            f"| {it['hit']} | {it['made']} | {it['first']} | **{it['hit_share']:.1%}** |"
            for it in found["looks"]["by_seed"]
        ),
        "",
        f"Whole turns, the first {zipf['requests']} of such a mix (questions of xquad in English "
        f"and CMRC in Chinese, {found['passages']} passages), of four clients to two pods on one "
        "Redis, "
        "each in a session of its own. Answers are sentences of passages: no model.",
        "",
        "| requests | distinct asked | hits | joined | made and kept | first | skipped |"
        " unavailable | hits and joined |",
        "|---|---|---|---|---|---|---|---|---|",
    )
    results = zipf["results"]
    cells = [results[name] for name in _RESULTS]
    yield (
        f"| {zipf['requests']} | {zipf['distinct_asked']} | "
        + " | ".join(map(str, cells))
        + f" | **{zipf['hit_share']:.1%}** |"
    )
    yield from (
        "",
        "From the request until the terminal frame, in process, with both pods, Redis and clients "
        "on this machine:",
        "",
        "| | p50 ms | p95 ms | turns |",
        "|---|---|---|---|",
        _times("hot", zipf["hit"]),
        _times("made", zipf["made"]),
        "",
        f"Questions that got two different answers: {zipf['questions_with_two_answers']}. In "
        f"Redis: {_kilobytes(zipf['redis'], 'answers')} kB of answers, "
        f"{_kilobytes(zipf['redis'], 'asked')} kB of questions that were asked. One look takes "
        f"{found['look']['p50_ms']} ms (p95 {found['look']['p95_ms']} ms).",
        "",
        "## Many at once",
        "",
        "Eight clients ask two pods the same at one moment, of a model that says 40 words at 20 ms "
        "each.",
        "",
        "| question | questions | answers that were made: questions | turn p50 ms | p95 ms |",
        "|---|---|---|---|---|",
        _at_once("asked once before", found["at_once_known"]),
        _at_once("never asked: the first one only notes it", found["at_once_new"]),
        "",
        "## Taken for asked before",
        "",
        "Questions noted in an hour, and the share of new ones that the filter takes for noted:",
        "",
        "| noted | taken |",
        "|---|---|",
    )
    for noted, share in found["strangers_taken"].items():
        yield f"| {int(noted):,} | {share:.2%} |"
    yield ""


_RESULTS = ("hit", "joined", "made", "first", "skipped", "unavailable")


def _times(name: str, it: Mapping[str, Any]) -> str:
    return f"| {name} | {it['p50_ms']} | {it['p95_ms']} | {it['count']} |"


def _kilobytes(sizes: Mapping[str, int], kind: str) -> int:
    return round(sizes.get(kind, 0) / 1024)


def _at_once(name: str, it: Mapping[str, Any]) -> str:
    made = ", ".join(f"{count}: {n}" for count, n in it["computations_per_question"].items())
    turn = it["turn"]
    return f"| {name} | {it['questions']} | {made} | {turn['p50_ms']} | {turn['p95_ms']} |"


def _similar(found: Mapping[str, Any]) -> Iterator[str]:
    yield from (
        "## A similar question is not the same one",
        "",
        "What would be if closeness alone decided (cosine of the default encoder, at or above the "
        "threshold). Pairs of covid_faq, of which people said whether they ask the same:",
        "",
        "| threshold | same found | wrong |",
        "|---|---|---|",
    )
    for threshold, it in found["pairs"].items():
        yield (
            f"| {threshold} | {it['found']} of {it['of_same']}"
            f" | {it['wrong']} of {it['of_other']} |"
        )
    yield from (
        "",
        "Each question against all others of its set, none of which is the same after "
        "normalisation: hits, and in brackets the wrong ones among them (other right answers; of "
        "sets of intents, another intent).",
        "",
    )
    yield from _table(found["sets"], "alone", ("0.80", "0.90", "0.94", "0.96", "0.98"))
    yield from (
        "",
        "With `ANSWER_CACHE_SIMILAR`, the telling words have to be the same, in the same order, "
        "and then the two have to be close. Questions in the order of their set, each compared "
        "with the last one of the same words:",
        "",
    )
    yield from _table(found["sets"], "same_words", ("any", "0.80", "0.90", "0.94", "0.96"))
    yield ""


def _table(sets: Mapping[str, Any], rule: str, shown: Sequence[str]) -> Iterator[str]:
    yield "| set | questions | " + " | ".join(shown) + " |"
    yield "|---|---|" + "---|" * len(shown)
    total = dict.fromkeys(shown, (0, 0))
    for name, by_rule in sets.items():
        it = by_rule[rule]
        cells = []
        for threshold in shown:
            row = it["by_threshold"][threshold]
            hits, wrong = total[threshold]
            total[threshold] = (hits + row["hits"], wrong + row["wrong"])
            cells.append(f"{row['hits']} ({row['wrong']})")
        yield f"| {name} | {it['questions']} | " + " | ".join(cells) + " |"
    questions = sum(by_rule[rule]["questions"] for by_rule in sets.values())
    cells = [f"{hits} ({wrong})" for hits, wrong in total.values()]
    yield f"| all | {questions} | " + " | ".join(cells) + " |"
