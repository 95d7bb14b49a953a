"""Figures of the takeover measure: percentiles, where the kills fell, histogram, report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kotaemon_node.chaos.figures import bars, histogram, spread
from load.bench.takeover_kills import WHERE, Hit

_MEANING = {
    "before_text": "before the first text",
    "within_text": "within the text",
    "text_to_commit": "between last text and commit",
    "commit_to_event": "between commit and event",
}


def summary(hits: Sequence[Hit], *, missed: int) -> dict[str, Any]:
    """Return the figures of a run; times in ms since the kill."""
    texts = [hit.first_text_ms for hit in hits if hit.first_text_ms is not None]
    return {
        "kills_with_a_turn": len({hit.kill for hit in hits}),
        "kills_without": missed,
        "turns_hit": len(hits),
        "fell": {where: sum(hit.where == where for hit in hits) for where in WHERE},
        "first_text_ms": spread(texts),
        "end_ms_where_no_text_was_left": spread(
            [hit.end_ms for hit in hits if hit.first_text_ms is None]
        ),
        "histogram_ms": histogram(texts),
        "machine_load": spread([hit.machine_load for hit in hits]),
        "wrong": {
            "not_done": sum(hit.state != "done" for hit in hits),
            "frames": sum(bool(hit.problems) for hit in hits),
            "text_is_not_what_was_committed": sum(not hit.same_as_committed for hit in hits),
            "text_is_not_the_undisturbed": sum(not hit.same_as_undisturbed for hit in hits),
            "other_frames_when_read_again": sum(not hit.same_when_read_again for hit in hits),
            "not_once_in_history": sum(hit.in_history != 1 for hit in hits),
        },
        "restarts": sum(hit.restarts for hit in hits),
        "attempts": dict(sorted(Counter(str(hit.attempts) for hit in hits).items())),
        "tries_per_turn": round(sum(hit.tries for hit in hits) / max(1, len(hits)), 2),
        "first_try_errors": sum(hit.errors for hit in hits),
    }


def right(figures: Mapping[str, Any]) -> bool:
    """Tell whether every turn ended as promised, however long it took."""
    return not any(figures["wrong"].values())


def rows(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """Return the hits as JSON objects."""
    return [asdict(hit) for hit in hits]


def report(results: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    around, figures = results["surroundings"], results["figures"]
    first = figures["first_text_ms"]
    setup = around["setup"]
    lines = [
        "# Takeover in mid-sentence",
        "",
        "Made by `python -m load.bench --only takeover`. The owner of a running turn is killed",
        "with SIGKILL; the time until its client has the first text that the new owner wrote.",
        "Clients come back through HAProxy with `Last-Event-ID`; nothing tells them where to.",
        "",
        f"Commit {around['commit']}; {around['machine']}; seed {around['seed']}; "
        f"LLM_CONTINUE={setup['continue']}, first token {setup['first_ms']:g} ms, then one every "
        f"{setup['token_ms']:g} ms, at least {setup['tokens_min']} tokens, end "
        f"{setup['end_ms']:g} ms behind the last.",
        f"{setup['workers']} workers, {setup['ready_min']} of them in use before each kill, "
        f"{setup['clients']} clients at once.",
        f"Load of the machine before the start: {around['load_before']:.2f}; at the kills "
        f"{figures['machine_load']['p50']:.1f} (p50), {figures['machine_load']['max']:.1f} (most).",
        "",
        "| | |",
        "|---|---|",
        f"| kills that met a turn | {figures['kills_with_a_turn']} |",
        f"| kills that met none (not counted) | {figures['kills_without']} |",
        f"| turns hit | {figures['turns_hit']} |",
        f"| **first text of the new owner, p50** | {first['p50']:.0f} ms |",
        f"| **first text of the new owner, p95** | {first['p95']:.0f} ms |",
        f"| first text of the new owner, maximum | {first['max']:.0f} ms |",
        f"| `restart` frames | {figures['restarts']} |",
        f"| tries a turn | {figures['tries_per_turn']} |",
        f"| tries that got no stream | {figures['first_try_errors']} |",
        *(f"| wrong: {name.replace('_', ' ')} | {n} |" for name, n in figures["wrong"].items()),
        "",
        "## Where the kills fell",
        "",
        "| moment | turns |",
        "|---|---|",
        *(f"| {_MEANING[where]} | {figures['fell'][where]} |" for where in WHERE),
        "",
        "Where no text was left to write, the end of the turn was there after "
        f"{figures['end_ms_where_no_text_was_left']['p50']:.0f} ms (p50), "
        f"{figures['end_ms_where_no_text_was_left']['p95']:.0f} ms (p95).",
        "",
        "## First text of the new owner",
        "",
        "```",
        *bars(figures["histogram_ms"]),
        "```",
        "",
        _undisturbed_line(results["undisturbed"], results["other_turns"]),
        "",
    ]
    return "\n".join(lines)


def _undisturbed_line(expected: Sequence[Mapping[str, Any]], others: Mapping[str, int]) -> str:
    times = ", ".join(
        f"{one['first_text_ms']:.0f} ms and {one['duration_ms'] / 1000:.1f} s" for one in expected
    )
    return (
        f"Undisturbed, the questions have their first text and their end after {times}. "
        f"Turns that no kill met: {others['turns']}; of these {others['errors']} saw an error at "
        f"their first try, and {others['wrong']} ended otherwise than undisturbed."
    )
