"""Figures of the concurrency measure: spreads, medians over rounds, the report's tables."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Spread = Mapping[str, float]


def spread(values: Sequence[float]) -> Spread:
    """Return count, median, 99th percentile and maximum; zeros where there is nothing."""
    if not values:
        return {"n": 0, "p50": 0.0, "p99": 0.0, "max": 0.0}
    ranked = sorted(values)
    return {
        "n": len(ranked),
        "p50": round(ranked[len(ranked) // 2], 3),
        "p99": round(ranked[min(len(ranked) - 1, len(ranked) * 99 // 100)], 3),
        "max": round(ranked[-1], 3),
    }


PHASES = {"none": "none", "steady": "50/s", "full": "full"}
_Key = tuple[str, float, str]


def report(results: Mapping[str, Any]) -> str:
    """Return the results as Markdown; figures are medians over the rounds of a candidate."""
    around = results["surroundings"]
    versions = ", ".join(f"{name} {number}" for name, number in around["versions"].items())
    lines = [
        "# Streams beside encoding: figures of ADR 0001",
        "",
        f"Commit {around['commit']}; {around['machine']}; Python {around['python']}; {versions}.",
        f"Load of the machine before the start: {around['load_before']:.2f}.",
        "",
        "Lateness: arrival of a heartbeat at the client minus the time it was due at. Lag: how",
        "late a 20 ms timer of the serving process fires; own lag: without the time in which its",
        "thread was ready and got no core, which is the machine's doing. CPU in cores;",
        "CPU/encoding: what one encoding costs more than serving without any.",
        "Medians over the rounds.",
        "",
        *_table(results["runs"]),
        "",
        "## Opening and memory",
        "",
        *_opening_table(results["runs"]),
        "",
        *(f"Failed: {one['candidate']}: {one['reason']}" for one in results["failed"]),
    ]
    return "\n".join(lines)


def _table(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "| candidate | beat | encoding | late p50 | late p99 | late max | lag p99 | lag max "
        "| own lag p50 | own lag p99 | own lag max "
        "| enc/s | enc p50 | enc p99 | CPU serve | CPU encoder | CPU of others | CPU/encoding "
        "| lost | rounds |",
        f"{'|---' * 20}|",
    ]
    grouped: dict[_Key, list[Mapping[str, Any]]] = {}
    for run in runs:
        for phase, seen in run["phases"].items():
            key = (run["candidate"], run["interval_s"], phase)
            cost_ms = _encode_cost_ms(seen, without=run["phases"]["none"])
            grouped.setdefault(key, []).append({**seen, "encode_cost_ms": cost_ms})
    # The order of the phases differs between rounds; in the table it is one.
    order = {name: at for at, name in enumerate(PHASES)}
    first_seen = {run["candidate"]: at for at, run in reversed(list(enumerate(runs)))}
    for key in sorted(grouped, key=lambda k: (k[1], first_seen[k[0]], order[k[2]])):
        lines.append(_row(key, grouped[key]))
    return lines


def _encode_cost_ms(seen: Mapping[str, Any], *, without: Mapping[str, Any]) -> float:
    """Return the CPU time of one encoding in the candidate's processes, 0 without any."""
    if not seen["encodes"] or not seen["encodes"]["per_s"]:
        return 0.0
    used, base = (
        sum(one["cpu"].get(part, 0.0) for part in ("serve", "encode")) for one in (seen, without)
    )
    return float(1000 * (used - base) / seen["encodes"]["per_s"])


def _row(key: _Key, seen: Sequence[Mapping[str, Any]]) -> str:
    candidate, interval_s, phase = key
    encodes = [one["encodes"] for one in seen if one["encodes"]]
    cells = [
        candidate,
        f"{interval_s:g} s",
        PHASES[phase],
        *(_ms([one["streams"]["late_ms"][part] for one in seen]) for part in ("p50", "p99", "max")),
        *(_ms([one["lag_ms"][part] for one in seen]) for part in ("p99", "max")),
        *(_ms([one["own_lag_ms"][part] for one in seen]) for part in ("p50", "p99", "max")),
        f"{_median([one['per_s'] for one in encodes]):.0f}" if encodes else "",
        *(_ms([one["took_ms"][part] for one in encodes]) for part in ("p50", "p99")),
        *(_cores([one["cpu"].get(part) for one in seen]) for part in ("serve", "encode")),
        _cores([one["cpu_others"] for one in seen]),
        _ms([one["encode_cost_ms"] for one in seen if one["encodes"]]),
        str(sum(one["streams"]["lost"] for one in seen)),
        str(len(seen)),
    ]
    return f"| {' | '.join(cells)} |"


def _opening_table(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "| candidate | streams asked | open | seconds to open | RSS before, MB | kB a stream "
        "| threads |",
        "|---|---|---|---|---|---|---|",
    ]
    grouped: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for run in runs:
        grouped.setdefault((run["candidate"], run["opened"]["asked"]), []).append(run)
    for (candidate, asked), seen in grouped.items():
        threads = seen[0]["os_threads"]
        cells = [
            candidate,
            str(asked),
            f"{_median([one['opened']['open'] for one in seen]):.0f}",
            f"{_median([one['opened']['took_s'] for one in seen]):.1f}",
            f"{_median([one['rss_before_mb'] for one in seen]):.0f}",
            f"{_median([one['rss_per_stream_kb'] for one in seen]):.1f}",
            "" if threads is None else str(threads),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _ms(values: Sequence[float]) -> str:
    return f"{_median(values):.1f} ms" if values else ""


def _cores(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{_median(known):.2f}" if known else ""
