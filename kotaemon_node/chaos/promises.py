"""The thresholds of a run: what must hold beside the rules of ``kotaemon_node.proof``.

A promise that binds fails the run. Latencies do not bind: they depend on the machine.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kotaemon_node.chaos.phases import PHASES

_KILLS_MANY = 60
"""So many kills must have met every phase."""
_LOSE = frozenset({"fail_over", "wipe_redis"})
"""Faults in which the store itself may lose something, and then has to say so."""
_FIRST_TIME_MIN = 0.995
_BEYOND_MAX_S = 2.0
_KNOWN_MAX_S = 30.0
_RESUME_MAX_S = 1.0
_NEXT_TEXT_MAX_MS = 500.0
_FROZEN_TEXT_MAX_MS = 4000.0


@dataclass(frozen=True, slots=True)
class Promise:
    """One threshold and what was seen."""

    number: str
    """Row of the design's table of faults; empty for what is about the whole run."""
    text: str
    seen: str
    met: bool
    binds: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return the form of the report."""
        return {
            "number": self.number,
            "text": self.text,
            "seen": self.seen,
            "met": self.met,
            "binds": self.binds,
        }


def promises(found: Mapping[str, Any]) -> list[Promise]:
    """Return the promises that this run put to the test, in the order of their numbers."""
    rows = {row["name"]: row for row in found["faults"]}
    checked = [
        promise
        for name, judge in _JUDGES.items()
        if name in rows
        for promise in judge(rows[name], found)
    ]
    return [*_hits(found), *checked]


def _hits(found: Mapping[str, Any]) -> Iterator[Promise]:
    kills = found["kills"]
    yield Promise(
        "",
        "a kill met a running turn",
        f"{kills['turns_hit']} turns by {kills['strikes']} strikes",
        kills["turns_hit"] > 0,
    )
    gone = found["readers"]["gone"]
    if not any(row["name"] in _LOSE for row in found["faults"]):
        yield Promise("", "nobody is told that a turn is gone", f"{gone} times", not gone)
    if kills["strikes"] >= _KILLS_MANY and found["phases"]:
        empty = [PHASES[phase] for phase in found["phases"] if not kills["by_phase"][phase]]
        yield Promise("", "kills met every phase of a turn", ", ".join(empty) or "all", not empty)


def _latency(limit_ms: float, number: str, faults: Sequence[str]) -> "_Judge":
    def judge(_: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Promise]:
        spreads = found["kills"]["first_text_ms"]
        seen = {name: spreads[name]["p95"] for name in faults if spreads.get(name, {}).get("n")}
        if seen:
            shown = ", ".join(f"{name.replace('_', ' ')} {ms:.0f} ms" for name, ms in seen.items())
            text = f"next text p95 < {limit_ms:.0f} ms"
            yield Promise(number, text, shown, max(seen.values()) < limit_ms, binds=False)

    return judge


def _rolling(row: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[Promise]:
    errors = row["tries_failed"]
    yield Promise("2", "a rolling restart shows no client an error", f"{errors} errors", not errors)


def _series(row: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[Promise]:
    errors, turns = row["first_try_errors"], row["turns_begun_meanwhile"]
    # One turn of a few hundred is no rate yet.
    allowed = max(1.0, (1 - _FIRST_TIME_MIN) * turns)
    yield Promise(
        "4",
        f"≥ {_FIRST_TIME_MIN:.1%} of turns answered first time, or all but one",
        f"{turns - errors} of {turns}",
        errors <= allowed,
    )


def _within(number: str, text: str, measure: str, limit_s: float) -> "_Judge":
    def judge(row: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[Promise]:
        if measure in row["done"]:
            seen_s = row["done"][measure]
            yield Promise(number, text, f"{seen_s:.2f} s", seen_s <= limit_s)

    return judge


def _resumed(row: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[Promise]:
    spread = row["resumed_s"]
    if spread["n"]:
        text = f"streams go on within {_RESUME_MAX_S:.0f} s (p95)"
        seen = f"{spread['p95']:.2f} s"
        yield Promise("6", text, seen, spread["p95"] <= _RESUME_MAX_S, binds=False)


def _reloaded(row: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[Promise]:
    cut = row["streams_cut"] + row["tries_failed"]
    seen = f"{row['streams_cut']} cut, {row['tries_failed']} refused"
    yield Promise("6", "a reload cuts no stream and refuses no request", seen, not cut)


_Judge = Callable[[Mapping[str, Any], Mapping[str, Any]], Iterator[Promise]]
_JUDGES: Final[Mapping[str, _Judge]] = {
    "kill_worker": _latency(_NEXT_TEXT_MAX_MS, "1", ("kill_worker",)),
    "restart_rolling": _rolling,
    "freeze_worker": _latency(_FROZEN_TEXT_MAX_MS, "3", ("freeze_worker",)),
    "kill_in_series": _series,
    "kill_all_workers": _within(
        "5",
        f"all workers back within their own start + {_BEYOND_MAX_S:.0f} s",
        "beyond_start_s",
        _BEYOND_MAX_S,
    ),
    "kill_balancer": _resumed,
    "reload_balancer": _reloaded,
    "kill_redis": _within(
        "8",
        f"turns go on within the restart of Redis + {_BEYOND_MAX_S:.0f} s",
        "beyond_restart_s",
        _BEYOND_MAX_S,
    ),
    "fail_over": _within(
        "9",
        f"turns go on within the failover + {_BEYOND_MAX_S:.0f} s",
        "beyond_restart_s",
        _BEYOND_MAX_S,
    ),
    "forget_events": _within(
        "13",
        f"knowledge reaches all pods within {_KNOWN_MAX_S:.0f} s without events",
        "known_s",
        _KNOWN_MAX_S,
    ),
}
