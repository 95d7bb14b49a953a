"""What a soak's rows and looks come to: latencies over time, growth, errors. No I/O here."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Final

from load.bench.speed.figures import significant
from load.soak import growth
from load.soak.plan import Row
from load.soak.slopes import Slope, slope
from load.soak.watching import Look

WAVES_MIN: Final = 4
"""Users come together, so their sessions end together: what Redis has rises and falls so often."""
_UNSEEN_LOOKS_MAX: Final = 6
_UNSEEN_S_MAX: Final = 60.0
_FAILED_SHARE_MAX: Final = 0.05
"""A look may fail. So long without any, or so many of them, and nobody knows what grew."""
_BINS_MAX: Final = 60
_BIN_S_MIN: Final = 60.0
_QUANTILES: Final = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_UNJUDGED: Final = ("redis",)
"""It keeps what was said, for as long as sessions live: that is told by turn."""


def quantile_ms(counted: Mapping[int, int], share: float) -> int | None:
    """Return the milliseconds that ``share`` of what was counted do not exceed."""
    total = sum(counted.values())
    seen = 0
    for value in sorted(counted):
        seen += counted[value]
        if seen >= share * total:
            return value
    return None


def over_time(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return one entry a minute, or more of them where the run was long."""
    rows = [row for row in rows if row.at_s > 0]
    if not rows:
        return []
    size_s = max(_BIN_S_MIN, rows[-1].at_s / _BINS_MAX)
    bins: dict[int, list[Row]] = {}
    for row in rows:
        bins.setdefault(int((row.at_s - row.took_s / 2) // size_s), []).append(row)
    return [{"from_s": round(place * size_s), **_bin(bins[place])} for place in sorted(bins)]


def _bin(rows: Sequence[Row]) -> dict[str, Any]:
    took_s = sum(row.took_s for row in rows)
    return {
        "connected_min": min(row.connected for row in rows),
        "answered_per_s": significant(sum(row.answered for row in rows) / took_s),
        "errors": sum(sum(row.errors.values()) for row in rows),
        "skipped": sum(row.skipped for row in rows),
        "first_ms": _quantiles(row.first_ms for row in rows),
        "whole_ms": _quantiles(row.whole_ms for row in rows),
        "client_lag_p99_ms": quantile_ms(_added(row.lag_ms for row in rows), 0.99),
        "client_cores": significant(sum(row.cpu_s for row in rows) / took_s),
    }


def processes(looks: Sequence[Look]) -> dict[str, dict[str, Any]]:
    """Return of each process what it had and by how much that grew."""
    names = [name for name in looks[0].processes if all(name in it.processes for it in looks)]
    return {name: _process(name, looks) for name in names}


def _process(name: str, looks: Sequence[Look]) -> dict[str, Any]:
    at_s = [it.at_s for it in looks]
    taken = [it.processes[name] for it in looks]
    own = [it.own_mib for it in taken]
    half = len(looks) // 2
    files = [float(it.files) for it in taken]
    seconds = at_s[-1] - at_s[0] or 1.0
    return {
        "own_mib": _course(own),
        "rss_mib": _course([it.rss_mib for it in taken]),
        "files": _course(files),
        "cores": significant((taken[-1].cpu_s - taken[0].cpu_s) / seconds),
        "own_mib_per_h": _shown(slope(at_s, own)),
        "own_mib_per_h_second_half": _shown(slope(at_s[half:], own[half:])),
        "grows": name not in _UNJUDGED and growth.grows(at_s[half:], own[half:], growth.OWN_MIB),
        "files_grow": growth.grows(at_s[half:], files[half:], growth.FILES),
    }


def long_enough(looks: Sequence[Look]) -> bool:
    """Return whether growth can be told from memory that fills once."""
    return judged_s(looks) >= growth.JUDGED_S_MIN


def judged_s(looks: Sequence[Look]) -> float:
    """Return for how long it is judged what grows: the second half of the run."""
    return looks[-1].at_s - looks[len(looks) // 2].at_s


def slower(course: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether answers surely took longer and longer over the second half."""
    late = [it for it in course[len(course) // 2 :] if it["whole_ms"]["p95"] is not None]
    return growth.grows(
        [float(it["from_s"]) for it in late],
        [float(it["whole_ms"]["p95"]) for it in late],
        growth.LATENCY_MS,
    )


def unwatched(
    looks: Sequence[Look],
    missed: Mapping[str, int],
    *,
    began_s: float,
    ended_s: float,
    every_s: float,
) -> list[str]:
    """Return what nobody saw of the cluster between two times, in words; empty: nothing."""
    found = []
    seen = [began_s, *(it.at_s for it in looks if began_s < it.at_s < ended_s), ended_s]
    blind_s = max(after - before for before, after in pairwise(seen))
    if blind_s > max(_UNSEEN_S_MAX, _UNSEEN_LOOKS_MAX * every_s):
        found.append(
            f"nobody looked at the processes for {blind_s / 60:.0f} of"
            f" {(ended_s - began_s) / 60:.0f} minutes"
        )
    failed = sum(missed.values())
    if failed > _FAILED_SHARE_MAX * (failed + len(looks)):
        found.append(
            f"{failed} of {failed + len(looks)} looks at the processes failed: {', '.join(missed)}"
        )
    return found


def store(looks: Sequence[Look], *, turns: int, kept_s: float, wave_s: float) -> dict[str, Any]:
    """Return what Redis had, by how much a turn made it grow, and whether it grows without end.

    ``kept_s``: how long a session is there, from its first turn until the store forgets it; before
    that Redis has to grow. ``wave_s``: how long a user has the same session.
    """
    used = [it.redis_mib for it in looks]
    late = [it for it in looks if it.at_s - looks[0].at_s >= kept_s]
    judged = bool(late) and late[-1].at_s - late[0].at_s >= WAVES_MIN * wave_s
    at_s = [it.at_s for it in late]
    return {
        "used_mib": _course(used),
        "used_mib_per_h": _shown(slope([it.at_s for it in looks], used)),
        "kib_a_turn": significant((used[-1] - used[0]) * 1024 / turns) if turns else None,
        "keys": _course([it.redis_keys for it in looks]),
        "judged": judged,
        "judged_from_s": kept_s + WAVES_MIN * wave_s,
        "grows": [
            name
            for name, values in (
                ("memory", [it.redis_mib for it in late]),
                ("number of keys", [float(it.redis_keys) for it in late]),
            )
            if judged and growth.grows(at_s, values, growth.STORE)
        ],
    }


def others(looks: Sequence[Look], *, clients_cores: float, cores: int) -> float:
    """Return which share of the machine was taken by what is neither cluster nor clients."""
    first, last = looks[0], looks[-1]
    seconds = last.at_s - first.at_s or 1.0
    own_s = sum(
        taken.cpu_s - first.processes[name].cpu_s
        for name, taken in last.processes.items()
        if name in first.processes
    )
    busy = (last.busy_s - first.busy_s - own_s) / seconds - clients_cores
    return round(max(0.0, busy) / cores, 3)


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what the clients counted and saw, all in all."""
    asking = [row for row in rows if row.at_s > 0]
    seconds = sum(row.took_s for row in asking) or 1.0
    counts = {
        name: sum(getattr(row, name) for row in rows)
        for name in (
            "asked", "answered", "told", "skipped", "cuts", "cut_off", "sent_away", "reconnects",
            "sessions", "heartbeats",
        )
    }  # fmt: skip
    return {
        **counts,
        "asked_for_s": round(seconds, 1),
        "answered_per_s": significant(counts["answered"] / seconds),
        "first_ms": _quantiles(row.first_ms for row in asking),
        "whole_ms": _quantiles(row.whole_ms for row in asking),
        "client_lag_ms": _quantiles(row.lag_ms for row in asking),
        "client_cores": significant(sum(row.cpu_s for row in asking) / seconds),
        "connected_min": min((row.connected for row in asking), default=0),
        "refused": dict(_added(row.refused for row in rows).most_common()),
        "errors": dict(_added(row.errors for row in rows).most_common()),
    }


def verdict(
    users: Mapping[str, Any],
    found: Mapping[str, Mapping[str, Any]],
    *,
    restarted: Sequence[str],
    taken_out: int,
    redis_grows: Sequence[str] = (),
    slower: bool = False,
    besides: Sequence[str] = (),
) -> list[str]:
    """Return what was not right, in words, ``besides`` among it; empty: nothing."""
    wrong = [f"{count} × {what}" for what, count in users["errors"].items()]
    wrong += [f"{count} × {what}, asked again" for what, count in users["refused"].items()]
    wrong += [f"{name} was started anew" for name in restarted]
    wrong += [f"{name} grows" for name, it in found.items() if it["grows"]]
    wrong += [f"the open files of {name} grow" for name, it in found.items() if it["files_grow"]]
    wrong += [f"the {what} of Redis grows, behind when sessions end" for what in redis_grows]
    if slower:
        wrong.append("answers take longer and longer")
    for what, count in (("answered", users["answered"]), ("told", users["told"])):
        if count != users["asked"]:
            wrong.append(f"{users['asked']} questions were asked, {count} {what}")
    if taken_out:
        wrong.append(f"HAProxy took a pod out {taken_out} times: it did not answer its checks")
    if users["cut_off"]:
        wrong.append(f"{users['cut_off']} lines were cut or not opened; the users came back")
    if users["skipped"]:
        wrong.append(f"{users['skipped']} questions were due before the last answer was there")
    if not users["asked"]:
        wrong.append("nothing was asked")
    return [*wrong, *besides]


def _quantiles(counted: Iterable[Mapping[int, int]]) -> dict[str, int | None]:
    added = _added(counted)
    return {name: quantile_ms(added, share) for name, share in _QUANTILES.items()}


def _added(counted: Iterable[Mapping[Any, int]]) -> Counter[Any]:
    total: Counter[Any] = Counter()
    for one in counted:
        total.update(one)
    return total


def _course(values: Sequence[float]) -> dict[str, float]:
    return {
        name: significant(value)
        for name, value in (("first", values[0]), ("last", values[-1]), ("most", max(values)))
    }


def _shown(found: Slope | None) -> dict[str, float] | None:
    return None if found is None else {
        name: significant(value) for name, value in asdict(found).items()
    }  # fmt: skip
