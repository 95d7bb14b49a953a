"""Writes figures of load/results into the pages that tell them: ``python -m scripts.kept_figures``.

A measure that is made again changes its file; the README would go on with the old figures. Each
sentence here is a text of a page in which ``{name}`` stands for a figure, and a function that reads
these figures from what was kept. A test compares them.
"""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from scripts.result_figures import (
    ROOT,
    Figures,
    bad_http,
    capacity,
    chaos,
    convergence,
    follow_ups,
    hot_answers,
    memory,
    on_kubernetes,
    retrieval,
    swap,
    takeover,
    unknown,
    upgrade,
)


@dataclass(frozen=True)
class Sentence:
    """What a page says of a results file: it stands there once, with just these figures."""

    page: str
    text: str
    figures: Callable[[], Figures]


def said(sentence: Sentence, page: str) -> Figures | None:
    """Return the figures that the page tells; None where the sentence does not stand there once."""
    found = [*_pattern(sentence).finditer(page)]
    return found[0].groupdict() if len(found) == 1 else None


def written(sentence: Sentence, page: str) -> str:
    """Return the page with the figures as they are kept; what says none of it stays as it is."""
    if said(sentence, page) is None:
        return page
    text = sentence.text.format_map(sentence.figures())
    return _pattern(sentence).sub(lambda _: text, page)


def _pattern(sentence: Sentence) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", sentence.text)
    named = [
        f"(?P<{part}>[\\w.,:-]+?)" if place % 2 else re.escape(part)
        for place, part in enumerate(parts)
    ]
    return re.compile("".join(named))


README: Final = "README.md"
CHINESE: Final = "README.zh.md"
PROMISES: Final = "docs/explanation/promises.md"
TAKEOVER: Final = "docs/explanation/takeover.md"
PICTURE: Final = "docs/images/takeover.svg"
CAPACITY: Final = "docs/how-to/capacity.md"
STATUS: Final = "docs/STATUS.md"
SENTENCES: Final[Sequence[Sentence]] = (
    Sentence(
        README,
        "| {kills} pods killed with SIGKILL in the middle of {turns} answers |",
        takeover,
    ),
    Sentence(README, "| {p50} ms (median), {p95} ms (p95), {max} ms at most |", takeover),
    Sentence(README, "| characters lost, repeated or changed | {wrong} |", takeover),
    Sentence(
        README,
        "`make chaos`: {minutes} minutes with {writers} writers, {faults} kinds of faults and "
        "{kills} kills, which met {hits} running turns: [{violations} violations in {turns} turns]",
        chaos,
    ),
    Sentence(
        README,
        "With a kill every {every} seconds {crashed} turns lost three pods and ended as",
        chaos,
    ),
    Sentence(
        README,
        "with {writers} writers on the same two cores {kill_p50} s (median), [{kill_p95} s (p95)]",
        chaos,
    ),
    Sentence(README, "`make e2e-k8s`: [{turns} turns, {violations} violations]", on_kubernetes),
    Sentence(
        README,
        "{changes} changes while {kills} pods were killed: [{p50} ms (median), {max} ms at most]",
        convergence,
    ),
    Sentence(CHINESE, "在 {turns} 个回答的中途，用 SIGKILL 杀掉节点 {kills} 次", takeover),
    Sentence(CHINESE, "| {p50} ms（中位数），{p95} ms（p95），最多 {max} ms |", takeover),
    Sentence(CHINESE, "| 丢失、重复或改变的字符 | {wrong} |", takeover),
    Sentence(
        CHINESE,
        "{minutes_zh}分钟，{writers} 个写入者，{faults} 种故障，杀 {kills} 次，"
        "命中 {hits} 个运行中的轮次：[{turns} 个轮次，{violations} 次违反]",
        chaos,
    ),
    Sentence(CHINESE, "每{every_zh}秒杀一次，{crashed} 个轮次失去三个节点", chaos),
    Sentence(CHINESE, "{kill_p50} s（中位数），[{kill_p95} s（p95）]", chaos),
    Sentence(CHINESE, "[{turns} 个轮次，{violations} 次违反](load/results/e2e", on_kubernetes),
    Sentence(
        CHINESE,
        "{changes} 次修改，其间杀掉 {kills} 个节点：发布后 [{p50} ms（中位数），最多 {max} ms]",
        convergence,
    ),
    Sentence(
        PROMISES,
        "`make chaos`: {minutes} minutes with {writers} writers, {faults} kinds of faults and "
        "{kills} kills, which met {hits} running turns: [{violations} violations in {turns} turns]",
        chaos,
    ),
    Sentence(
        PROMISES,
        "With a kill every {every} seconds {crashed} turns lost three pods and ended as",
        chaos,
    ),
    Sentence(
        PROMISES,
        "In the chaos run {crashed} of {turns}: it kills a worker every {every} seconds",
        chaos,
    ),
    Sentence(PROMISES, "on one machine under load {balancer} s (p95) until streams", chaos),
    Sentence(PROMISES, "{first} of {begun} turns that began meanwhile got a stream", chaos),
    Sentence(PROMISES, "it comes, later: {kill_p95} s (p95) in the chaos run", chaos),
    Sentence(PROMISES, "a kill every {every} seconds) {kill_p50} s, p95 {kill_p95} s;", chaos),
    Sentence(
        PROMISES,
        "from the next character | {p50} ms (median) to {max} ms on a machine",
        takeover,
    ),
    Sentence(
        PROMISES,
        "{kills} kills: the next text after {p50} ms (median), {p95} ms (p95), {max} ms at most",
        takeover,
    ),
    Sentence(
        TAKEOVER,
        "{kills} workers were killed with SIGKILL in the middle of answers, {turns} of them,",
        takeover,
    ),
    Sentence(TAKEOVER, "after {p50} ms (median), {p95} ms (p95), {max} ms at most.", takeover),
    Sentence(
        TAKEOVER,
        "a kill every {every} seconds it is {kill_p50} s (median) and {kill_p95} s (p95) ([chaos]",
        chaos,
    ),
    Sentence(PICTURE, "{p50} ms (median) and {p95} ms (p95) from 3 to 7, at the client", takeover),
    Sentence(
        PROMISES,
        "text goes on {least} to {most} s after a forced delete; {turns} turns while scaled, "
        "upgraded and rolled back, {violations} violations",
        on_kubernetes,
    ),
    Sentence(
        PROMISES,
        "{changes} changes while {kills} pods were killed: served by all pods {p50} ms (median) "
        "and {max} ms at most after publication, {file} s at most after the file changed",
        convergence,
    ),
    Sentence(PROMISES, "p99 ratio {swapping} (two quiet rounds: {quiet})", swap),
    Sentence(
        PROMISES,
        "nDCG@10 {both} instead of {words} and {vectors}, recall@5 {recall} instead",
        retrieval,
    ),
    Sentence(PROMISES, "mean of {sets} sets in both languages", retrieval),
    Sentence(
        PROMISES,
        "{refused} % of what can be answered is refused and {answered} % of what",
        unknown,
    ),
    Sentence(PROMISES, "recall@5 {rules} instead of {raw} by rules", follow_ups),
    Sentence(PROMISES, "(Zipf 1.1) {share} % are hits, from a cold start", hot_answers),
    Sentence(PROMISES, "{messages} raw messages at the balancer and at a pod: no fault", bad_http),
    Sentence(
        STATUS,
        "{violations} violations in {turns} turns, {kills} kills in {minutes} minutes",
        chaos,
    ),
    Sentence(STATUS, "{crashed} turns lost three pods each and ended", chaos),
    Sentence(STATUS, "| {balancer} s: [chaos]", chaos),
    Sentence(STATUS, "| {first} of {begun}; the others were told to try again", chaos),
    Sentence(
        STATUS,
        "{kill_p50} s (median), {kill_p95} s (p95) with {writers} clients and a kill every {every} "
        "seconds",
        chaos,
    ),
    Sentence(
        STATUS,
        "{kills} kills: {p50} ms (median), {p95} ms (p95), {max} ms at most; no text differed; "
        "of {turns} turns",
        takeover,
    ),
    Sentence(STATUS, "{turns} turns, 0 errors, {violations} violations; on the way", on_kubernetes),
    Sentence(STATUS, "text goes on {least} to {most} s after a forced delete, ", on_kubernetes),
    Sentence(
        STATUS, "{violations} violations in {turns} turns, {first} % answered at the first", upgrade
    ),
    Sentence(STATUS, "p99 × {swapping} beside × {quiet} of two quiet rounds", swap),
    Sentence(
        STATUS,
        "{file} s at most from the file, {max} ms at most from publication",
        convergence,
    ),
    Sentence(STATUS, "nDCG@10 {both} instead of {words} and {vectors}, {sets} sets,", retrieval),
    Sentence(STATUS, "{rules} instead of {raw}, mean of five sets, by rules", follow_ups),
    Sentence(
        STATUS,
        "{refused} % of what can be answered is refused and {answered} % of what cannot is "
        "answered, AUROC {auroc} over",
        unknown,
    ),
    Sentence(STATUS, "{share} % of 5,000 looks into the store", hot_answers),
    Sentence(STATUS, "{messages} raw messages, ", bad_http),
    Sentence(
        CAPACITY,
        "{rss} MB resident, which is what a container of its own is charged; {pss} MB with its "
        "share of mapped files where three share a machine; {own} MB its own.",
        memory,
    ),
    Sentence(
        CAPACITY,
        "with the sample shop | {coordinator}, {redis} and {haproxy} MB resident",
        memory,
    ),
    Sentence(CAPACITY, "| {one} a second from one client, {eight} from 8 and from 32", capacity),
    Sentence(
        CAPACITY,
        "25 clients: {s25} a second, first text {f25} ms; 50: {s50}, {f50} ms; "
        "100: {s100}, {f100} s, a core full",
        capacity,
    ),
)


def main() -> int:
    """Write all figures; 1 where a sentence is not on its page any more."""
    missing = 0
    for sentence in SENTENCES:
        file = ROOT / sentence.page
        page = file.read_text("utf-8")
        if said(sentence, page) is None:
            sys.stderr.write(f"{sentence.page} does not say once: {sentence.text}\n")
            missing = 1
        elif (now := written(sentence, page)) != page:
            file.write_text(now, "utf-8")
            sys.stdout.write(f"{sentence.page}: {sentence.text.format_map(sentence.figures())}\n")
    return missing


if __name__ == "__main__":
    sys.exit(main())
