"""What a run showed, as JSON and as Markdown."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from load import surroundings
from load.bench.takeover_figures import bars, histogram, spread
from load.chaos.clients import Talk
from load.chaos.run import Run, Spell
from load.chaos.scene import WORKERS
from load.reader import Reading


def results(run: Run) -> dict[str, Any]:
    """Return the figures of a run."""
    assert run.writers is not None
    assert run.strikes is not None
    talks = run.writers.talks
    readings = [reading for talk in talks for reading in talk.readings]
    hits = run.strikes.as_json()
    killed = [hit for hit in hits if hit["fault"] in {"kill_worker", "kill_in_series"}]
    return {
        "commit": surroundings.commit(required=False),
        "machine": surroundings.machine(),
        "load": os.getloadavg()[0],
        "seed": run.seed,
        "setup": {"workers": WORKERS, "writers": run.clients, **run.pace},
        "seconds": round(run.ended_s - run.began_s, 1),
        "violations": [str(one) for one in run.violations],
        "failures": run.failures,
        "reader_problems": sorted({p for reading in readings for p in _problems(reading)})[:50],
        "turns": _turns(talks),
        "faults": _faults(run.spells, talks),
        "kills": {
            "strikes": run.strikes.done,
            "fruitless": run.strikes.fruitless,
            "turns_hit": len(hits),
            "first_text_ms": {
                fault: spread(_times([hit for hit in hits if hit["fault"] == fault]))
                for fault in sorted({hit["fault"] for hit in hits})
            },
            "histogram_ms": histogram(_times(killed)),
        },
        "readers": _readers(readings),
        "posts_of_accepted_turns": _repeats(talks),
        "conflicts_refused": run.writers.counts.conflicts,
        "history_reads": run.writers.counts.reads,
        "history_read_errors": len(run.writers.counts.read_errors),
        "known_by_all_pods_s": run.known_s,
        "metrics_since_last_starts": run.metrics,
        "model": run.model,
        "hits": hits,
    }


def right(found: Mapping[str, Any]) -> bool:
    """Tell whether the run shows what it should; one without a hit shows nothing."""
    wrong = found["violations"] or found["failures"] or found["reader_problems"]
    return not wrong and found["kills"]["turns_hit"] > 0 and not found["readers"]["gone"]


def _turns(talks: Sequence[Talk]) -> dict[str, Any]:
    states = Counter(_outcome(talk) for talk in talks)
    return {
        "sent": len(talks),
        "outcomes": dict(sorted(states.items())),
        "first_try_errors": sum(_first_try_failed(talk) for talk in talks),
        "answered_first_time_percent": _percent(talks),
        "first_try_reasons": _reasons(talks),
    }


def _outcome(talk: Talk) -> str:
    reading = talk.whole()
    if reading.terminal is None:
        return "unanswered"
    code = f" {reading.terminal['code']}" if reading.state == "failed" else ""
    degraded = " degraded" if reading.terminal.get("degraded") else ""
    return f"{reading.state}{code}{degraded}"


def _first_try_failed(talk: Talk) -> bool:
    tries = talk.readings[0].tries if talk.readings else []
    return bool(tries) and tries[0].end in {"failed", "refused"}


def _reasons(talks: Sequence[Talk]) -> dict[str, int]:
    failed = [talk.readings[0].tries[0] for talk in talks if _first_try_failed(talk)]
    return dict(Counter(one.reason[:60] for one in failed).most_common(10))


def _percent(talks: Sequence[Talk]) -> float | None:
    failed = sum(_first_try_failed(talk) for talk in talks)
    return round(100 * (1 - failed / len(talks)), 2) if talks else None


def _faults(spells: Sequence[Spell], talks: Sequence[Talk]) -> list[dict[str, Any]]:
    """Return a row for each kind of fault, in the order of their numbers."""
    rows = []
    kinds = {spell.fault.name: spell.fault for spell in spells}
    for fault in sorted(kinds.values(), key=lambda one: (int(one.number), one.name)):
        these = [spell for spell in spells if spell.fault == fault]
        done: Counter[str] = Counter()
        for spell in these:
            done.update(spell.done)
        during = [talk for talk in talks if any(_within(talk, spell) for spell in these)]
        rows.append(
            {
                "number": fault.number,
                "name": fault.name,
                "times": len(these),
                "done": dict(done),
                "ready_again_s": spread([spell.ended_s - spell.began_s for spell in these]),
                "turns_begun_meanwhile": len(during),
                "first_try_errors": sum(_first_try_failed(talk) for talk in during),
                "first_try_reasons": _reasons(during),
                "answered_first_time_percent": _percent(during),
            }
        )
    return rows


def _within(talk: Talk, spell: Spell) -> bool:
    began_s = talk.readings[0].began_s if talk.readings else 0.0
    return spell.began_s <= began_s <= spell.ended_s


def _readers(readings: Sequence[Reading]) -> dict[str, int]:
    tries = [one for reading in readings for one in reading.tries]
    ends = Counter(one.end for one in tries)
    return {
        "readers": len(readings),
        "connections": len(tries),
        "resumed": sum(one.after > 0 for one in tries),
        "taken_over": sum(
            frame.get("phase") == "taken_over"
            for reading in readings
            for frame in reading.frames("status")
        ),
        "snapshots": sum(reading.snapshots for reading in readings),
        "restarts": sum(reading.restarts for reading in readings),
        "gone": sum((reading.refusal or {}).get("code") == "gone" for reading in readings),
        **{f"ended_{end}": count for end, count in sorted(ends.items())},
    }


def _repeats(talks: Sequence[Talk]) -> int:
    """Return how many posts came to a turn that was there already, and changed nothing."""
    posts = [
        sum(one.after == 0 and one.status == 200 for r in talk.readings for one in r.tries)
        for talk in talks
    ]
    return sum(max(0, number - 1) for number in posts)


def _problems(reading: Reading) -> list[str]:
    return [
        f"{reading.session_id} {reading.turn_id}: {problem}"
        for problem in reading.problems
        if reading.last_seq or not problem.startswith("gave up")
    ]


def _times(hits: Sequence[Mapping[str, Any]]) -> list[float]:
    return [hit["first_text_ms"] for hit in hits if hit["first_text_ms"] is not None]


def markdown(found: Mapping[str, Any]) -> str:
    """Return the report for people."""
    kills, turns, readers = found["kills"], found["turns"], found["readers"]
    setup, known_s = found["setup"], found["known_by_all_pods_s"]
    verdict = "No violation." if right(found) else "**This run failed.**"
    lines = [
        "# Chaos",
        "",
        f"Made by `make chaos`. {verdict} Every client's log was judged by `kotaemon_node.proof`.",
        "",
        f"Commit {found['commit']}; {found['machine']}; seed {found['seed']}; "
        f"{found['seconds']:.0f} s; {setup['workers']} workers, {setup['writers']} writers, each "
        f"turn followed by two more readers; a word every {setup['token_ms']:g} ms.",
        "",
        "| | |",
        "|---|---|",
        f"| **violations** | {len(found['violations'])} |",
        f"| turns | {turns['sent']} |",
        f"| turns that were running on a pod when it was struck | {kills['turns_hit']} |",
        f"| strikes; of these, met no turn | {kills['strikes']}; {kills['fruitless']} |",
        *(
            f"| ms to next text, {fault.replace('_', ' ')}, p50 / p95 / max | {_spread(times)} |"
            for fault, times in kills["first_text_ms"].items()
        ),
        f"| turns whose first try got a stream | {turns['answered_first_time_percent']} % |",
        f"| resumed connections | {readers['resumed']} |",
        f"| restarts / snapshots / gone | {readers['restarts']} / {readers['snapshots']} / "
        f"{readers['gone']} |",
        f"| repeated posts that changed nothing | {found['posts_of_accepted_turns']} |",
        f"| other bodies under a used id, refused | {found['conflicts_refused']} |",
        f"| newest document known to all pods after the end | {_seconds(known_s)} |",
        "",
        "Outcomes: " + ", ".join(f"{name} {n}" for name, n in turns["outcomes"].items()) + ".",
        "",
        "## Faults",
        "",
        "| # | fault | times | done | ready again (s, max) | turns begun meanwhile | got a stream "
        "at the first try |",
        "|---|---|---|---|---|---|---|",
        *(_fault_line(row) for row in found["faults"]),
        "",
        "## Next text after the kill of one worker, alone or in series",
        "",
        "```",
        *bars(kills["histogram_ms"]),
        "```",
        "",
        *(f"- violation: {one}" for one in found["violations"][:50]),
        *(f"- failure: {one.splitlines()[0]}" for one in found["failures"]),
        *(f"- reader: {one}" for one in found["reader_problems"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _fault_line(row: Mapping[str, Any]) -> str:
    done = ", ".join(f"{name} {value:g}" for name, value in row["done"].items())
    answered = row["answered_first_time_percent"]
    return (
        f"| {row['number']} | {row['name'].replace('_', ' ')} | {row['times']} | {done} | "
        f"{row['ready_again_s']['max']:g} | {row['turns_begun_meanwhile']} | "
        f"{'-' if answered is None else f'{answered} %'} |"
    )


def _spread(figures: Mapping[str, float]) -> str:
    return f"{figures['p50']:.0f} / {figures['p95']:.0f} / {figures['max']:.0f} ({figures['n']:g})"


def _seconds(known_s: float | None) -> str:
    return "never" if known_s is None else f"{known_s:.2f} s"
