"""The report for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from kotaemon_node.chaos.figures import bars
from kotaemon_node.chaos.phases import PHASES
from kotaemon_node.chaos.report import right

_SHOWN_MAX = 50


def markdown(found: Mapping[str, Any], *, made_by: str) -> str:
    """Return the figures of ``report.results`` as Markdown; ``made_by``: the command."""
    verdict = "No promise was broken." if right(found) else "**This run failed.**"
    lines = [
        "# Chaos",
        "",
        f"Made by `{made_by}`. {verdict} Every client's log was judged by `kotaemon_node.proof`.",
        "",
        *_setup(found),
        "",
        *_figures(found),
        "",
        *_outcomes(found),
        "",
        *_promises(found),
        *_faults(found),
        "",
        *_kills(found),
        "",
        *(f"- violation: {one}" for one in found["violations"][:_SHOWN_MAX]),
        *(f"- failure: {one.splitlines()[0]}" for one in found["failures"]),
        *(f"- reader: {one}" for one in found["reader_problems"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _setup(found: Mapping[str, Any]) -> Iterator[str]:
    around = [f"{name} {found[name]}" for name in ("version", "commit") if name in found]
    around += [found[name] for name in ("machine", "setup") if name in found]
    around += [f"seed {found['seed']}", f"{found['seconds']:.0f} s"]
    yield (
        f"{'; '.join(around)}; {found['workers']} workers, {found['writers']} writers, "
        "each turn followed by two more readers, one of which leaves and resumes at random."
    )


def _figures(found: Mapping[str, Any]) -> Iterator[str]:
    kills, turns, readers = found["kills"], found["turns"], found["readers"]
    yield from ("| | |", "|---|---|")
    yield f"| **violations** | {len(found['violations'])} |"
    yield f"| turns | {turns['sent']} |"
    yield f"| turns that were running on a pod when it was struck | {kills['turns_hit']} |"
    yield f"| strikes; of these, met no turn | {kills['strikes']}; {kills['fruitless']} |"
    met = {fault: times for fault, times in kills["first_text_ms"].items() if times["n"]}
    for fault, times in met.items():
        yield f"| ms to next text, {fault.replace('_', ' ')}, p50 / p95 / max | {_spread(times)} |"
    yield f"| takeovers seen by readers | {readers['taken_over']} |"
    yield (
        "| turns whose first try got a stream; errors at the first try | "
        f"{turns['answered_first_time_percent']} %; {turns['first_try_errors']} |"
    )
    yield f"| connections; tried again; resumed | {_counts(readers)} |"
    yield (
        f"| restarts / snapshots / gone | {readers['restarts']} / {readers['snapshots']} / "
        f"{readers['gone']} |"
    )
    yield f"| repeated posts that changed nothing | {found['posts_of_accepted_turns']} |"
    yield f"| other bodies under a used id, refused with 409 | {found['conflicts_refused']} |"
    if found["known_by_all_pods_s"] is not None:
        known_s = found["known_by_all_pods_s"]
        yield f"| newest document known to all pods after the end | {known_s:.2f} s |"


def _counts(readers: Mapping[str, int]) -> str:
    return f"{readers['connections']}; {readers['tried_again']}; {readers['resumed']}"


def _outcomes(found: Mapping[str, Any]) -> Iterator[str]:
    turns = found["turns"]
    yield "Outcomes: " + ", ".join(f"{name} {n}" for name, n in turns["outcomes"].items()) + "."
    if turns["first_try_reasons"]:
        reasons = (f"{why} ({n})" for why, n in turns["first_try_reasons"].items())
        yield ""
        yield "First tries failed with: " + ", ".join(reasons) + "."


def _promises(found: Mapping[str, Any]) -> Iterator[str]:
    yield from ("## Thresholds", "", "| # | promise | seen | |", "|---|---|---|---|")
    for one in found["promises"]:
        verdict = "met" if one["met"] else "**broken**" if one["binds"] else "not met here"
        yield f"| {one['number']} | {one['text']} | {one['seen']} | {verdict} |"
    yield ""


def _faults(found: Mapping[str, Any]) -> Iterator[str]:
    yield from ("## Faults", "")
    yield (
        "| # | fault | times | done | ready again (s, max) | turns begun meanwhile | got a stream "
        "at the first try |"
    )
    yield "|---|---|---|---|---|---|---|"
    for row in found["faults"]:
        done = ", ".join(f"{name} {value:g}" for name, value in row["done"].items())
        answered = row["answered_first_time_percent"]
        yield (
            f"| {row['number']} | {row['name'].replace('_', ' ')} | {row['times']} | {done} | "
            f"{row['ready_again_s']['max']:g} | {row['turns_begun_meanwhile']} | "
            f"{'-' if answered is None else f'{answered} %'} |"
        )


def _kills(found: Mapping[str, Any]) -> Iterator[str]:
    kills = found["kills"]
    yield from ("## Where the strikes fell", "", "| phase of the turn | turns |", "|---|---|")
    for phase, text in PHASES.items():
        yield f"| {text} | {kills['by_phase'][phase]} |"
    yield from ("", "## Next text after the kill of one worker, alone or in series", "", "```")
    yield from bars(kills["histogram_ms"])
    yield "```"


def _spread(figures: Mapping[str, float]) -> str:
    return f"{figures['p50']:.0f} / {figures['p95']:.0f} / {figures['max']:.0f} ({figures['n']:g})"
