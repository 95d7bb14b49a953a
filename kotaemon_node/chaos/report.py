"""What a run showed, as figures: the JSON of the report."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from kotaemon_node.chaos.figures import histogram, spread
from kotaemon_node.chaos.phases import PHASES
from kotaemon_node.chaos.promises import promises
from kotaemon_node.chaos.reader import Reading, Try
from kotaemon_node.chaos.run import Run, Spell
from kotaemon_node.chaos.writers import Talk, Writers

_FAILED = frozenset({"failed", "refused"})
_CUT = frozenset({"cut", "silent"})


def results(run: Run, *, phases: Sequence[str] = (), **around: Any) -> dict[str, Any]:
    """Return the figures of a run; ``around``: where it was taken, first in the report.

    ``phases``: those that its kills aimed at.
    """
    assert run.writers is not None
    assert run.strikes is not None
    found = {
        **around,
        "load": os.getloadavg()[0],
        "seed": run.seed,
        "workers": run.workers,
        "writers": run.clients,
        "seconds": round(run.ended_s - run.began_s, 1),
        "violations": [str(one) for one in run.violations],
        "failures": run.failures,
        **seen_by_clients(run.writers),
        "faults": _faults(run.spells, run.writers.talks),
        "phases": list(phases),
        "kills": _kills(run),
        "known_by_all_pods_s": run.known_s,
        "metrics_since_last_starts": run.metrics,
        **run.more,
        "hits": run.strikes.as_json(),
    }
    found["promises"] = [promise.as_json() for promise in promises(found)]
    return found


def seen_by_clients(writers: Writers) -> dict[str, Any]:
    """Return what the clients saw, whoever struck meanwhile; when all of them have left."""
    talks = writers.talks
    readings = [reading for talk in talks for reading in talk.readings]
    return {
        "reader_problems": sorted({p for reading in readings for p in _problems(reading)})[:50],
        "turns": _turns(talks),
        "readers": _readers(readings),
        "posts_of_accepted_turns": _repeats(talks),
        "conflicts_refused": writers.counts.conflicts,
        "history_reads": writers.counts.reads,
        "history_read_errors": len(writers.counts.read_errors),
    }


def right(found: Mapping[str, Any]) -> bool:
    """Tell whether the run shows what it should; one without a hit shows nothing."""
    wrong = found["violations"] or found["failures"] or found["reader_problems"]
    return not wrong and all(one["met"] or not one["binds"] for one in found["promises"])


def _kills(run: Run) -> dict[str, Any]:
    assert run.strikes is not None
    hits = run.strikes.as_json()
    # Beside another fault the time to the next text is that of both.
    alone = [hit for hit in hits if not hit["amid"]]
    single = [hit for hit in alone if hit["fault"] in {"kill_worker", "kill_in_series"}]
    phases = Counter(hit["phase"] for hit in hits)
    return {
        "strikes": sum(run.strikes.kills.values()),
        "by_fault": dict(sorted(run.strikes.kills.items())),
        "fruitless": run.strikes.fruitless,
        "turns_hit": len(hits),
        "beside_another_fault": len(hits) - len(alone),
        "by_phase": {phase: phases[phase] for phase in PHASES},
        "first_text_ms": {
            fault: spread(_times([hit for hit in alone if hit["fault"] == fault]))
            for fault in sorted({hit["fault"] for hit in alone})
        },
        "histogram_ms": histogram(_times(single)),
    }


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
        return "gone" if _told_gone(reading) else "unanswered"
    code = f" {reading.terminal['code']}" if reading.state == "failed" else ""
    degraded = " degraded" if reading.terminal.get("degraded") else ""
    return f"{reading.state}{code}{degraded}"


def _told_gone(reading: Reading) -> bool:
    return (reading.refusal or {}).get("code") == "gone"


def _first_try_failed(talk: Talk) -> bool:
    tries = talk.readings[0].tries if talk.readings else []
    return bool(tries) and tries[0].end in _FAILED


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
        these = [spell for spell in spells if spell.fault.name == fault.name]
        during = [talk for talk in talks if any(_within(talk, spell) for spell in these)]
        tries = [one for spell in these for one in _tries_ended(talks, spell)]
        rows.append(
            {
                "number": fault.number,
                "name": fault.name,
                "times": len(these),
                "done": _sum(these),
                "ready_again_s": spread([spell.ended_s - spell.began_s for spell in these]),
                "turns_begun_meanwhile": len(during),
                "first_try_errors": sum(_first_try_failed(talk) for talk in during),
                "first_try_reasons": _reasons(during),
                "answered_first_time_percent": _percent(during),
                "tries_failed": sum(one.end in _FAILED for one in tries),
                "streams_cut": sum(one.end in _CUT for one in tries),
                "resumed_s": spread([s for spell in these for s in _resumed_s(talks, spell)]),
            }
        )
    return rows


def _sum(spells: Sequence[Spell]) -> dict[str, Any]:
    """Add up what was done; of measures take the largest."""
    done: dict[str, Any] = {}
    for spell in spells:
        for name, value in spell.done.items():
            before = done.get(name, 0)
            measured = name.endswith(("_s", "_mb"))
            done[name] = max(before, value) if measured else before + value
    return done


def _within(talk: Talk, spell: Spell) -> bool:
    began_s = talk.readings[0].began_s if talk.readings else 0.0
    return spell.began_s <= began_s <= spell.ended_s


def _tries_ended(talks: Sequence[Talk], spell: Spell) -> list[Try]:
    return [
        one
        for talk in talks
        for reading in talk.readings
        for one in reading.tries
        if spell.began_s <= one.ended_s <= spell.ended_s
    ]


def _resumed_s(talks: Sequence[Talk], spell: Spell) -> list[float]:
    """Return how long each stream that was cut meanwhile waited for its next frame."""
    found = []
    for reading in (reading for talk in talks for reading in talk.readings):
        cuts = [
            one.ended_s
            for one in reading.tries
            if one.end in _CUT and spell.began_s <= one.ended_s <= spell.ended_s
        ]
        if cuts:
            later = (one.at_s for one in reading.arrivals if one.at_s > cuts[0])
            next_s = next(later, None)
            found += [] if next_s is None else [next_s - cuts[0]]
    return found


def _readers(readings: Sequence[Reading]) -> dict[str, int]:
    tries = [one for reading in readings for one in reading.tries]
    ends = Counter(one.end for one in tries)
    return {
        "readers": len(readings),
        "connections": len(tries),
        "tried_again": len(tries) - len(readings),
        "resumed": sum(one.after > 0 for one in tries),
        "taken_over": sum(
            frame.get("phase") == "taken_over"
            for reading in readings
            for frame in reading.frames("status")
        ),
        "snapshots": sum(reading.snapshots for reading in readings),
        "restarts": sum(reading.restarts for reading in readings),
        "gone": sum(_told_gone(reading) for reading in readings),
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
