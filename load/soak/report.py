"""The report of a soak for people, its plots, and where they are kept."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from load import kept
from load.soak import growth
from load.soak.plots import courses_plot
from load.soak.watching import Look

NAME: Final = "soak"
_SHARES: Final = ("p50", "p95", "p99")


def write(results: Mapping[str, Any], looks: Sequence[Look], out: Path) -> None:
    """Write soak.json, soak.md and the plots into the folder ``out``."""
    folder = out / NAME
    folder.mkdir(parents=True, exist_ok=True)
    for name, plot in plots(results, looks).items():
        (folder / f"{name}.svg").write_text(plot, "utf-8")
    kept.keep(out / NAME, results, page(results))


def plots(results: Mapping[str, Any], looks: Sequence[Look]) -> dict[str, str]:
    """Return name to SVG."""
    course = results["over_time"]
    began_s = looks[0].at_s
    names = [name for name in results["processes"] if not name.endswith("(parent)")]
    return {
        "latency": courses_plot(
            "From when a question is due to its whole answer",
            {
                share: [
                    ((it["from_s"]) / 60, float(it["whole_ms"][share]))
                    for it in course
                    if it["whole_ms"][share] is not None
                ]
                for share in _SHARES
            },
            unit="ms",
        ),
        "memory": courses_plot(
            "Memory of each process that no other has",
            {
                name: [((it.at_s - began_s) / 60, it.processes[name].own_mib) for it in looks]
                for name in names
            },
            unit="MiB",
        ),
        "redis": courses_plot(
            "Memory that Redis uses for what it keeps",
            {"Redis": [((it.at_s - began_s) / 60, it.redis_mib) for it in looks]},
            unit="MiB",
        ),
    }


def page(results: Mapping[str, Any]) -> str:
    """Return soak.md."""
    plan, users = results["plan"], results["users"]
    return "\n".join(
        [
            "# Many connected users, for long",
            "",
            f"Commit {results['commit']}; {results['machine']}. Made by `make soak`.",
            *_early(results),
            f"{plan['users']:,} users, connected to {results['workers']} workers through HAProxy by"
            " the stream of their sessions, as the page is; each asks a question every"
            f" {plan['every_s']:g} s, for {users['asked_for_s'] / 60:.0f} minutes. Answers are"
            f" sentences of {plan['documents']} documents, without a language model. Of the"
            f" questions {plan['fresh']:.0%} are new, the others are {plan['known']:,} that are"
            f" asked again and again (Zipf, {plan['skew']:g}). A user's line is cut"
            f" {plan['cuts_per_hour']:g} times an hour. A session has {plan['turns']} turns, then"
            " its user goes and another comes; it is kept for"
            f" {plan['session_ttl_s'] / 60:g} minutes more. Others took"
            f" {results['machine_taken_by_others']:.0%} of the machine meanwhile.",
            "",
            *_verdict(results),
            "",
            *_users(users, results["answer_cache"]),
            "",
            "## Over time",
            "",
            *_over_time(results["over_time"]),
            "",
            f"![Latency]({NAME}/latency.svg)",
            "",
            "## What it takes",
            "",
            *_processes(results["processes"]),
            "",
            "*Own* memory is what no other process has. Its slope is that of Theil and Sen, in MiB"
            " an hour, with the interval of 95 %, over the second half of the run."
            f" {_growth_allowed(results['growth_judged_s'])} {_looked(results)}",
            "",
            *_store(results["redis"]),
            "",
            f"![Memory]({NAME}/memory.svg)",
            "",
            f"![Redis]({NAME}/redis.svg)",
            "",
        ]
    )


def _early(results: Mapping[str, Any]) -> Iterator[str]:
    if results["stopped_early"]:
        yield "**It was stopped before its end.**"


def _verdict(results: Mapping[str, Any]) -> Iterator[str]:
    long_enough = results["long_enough_for_growth"]
    if not results["wrong"]:
        growth = (
            "nothing grows" if long_enough else "the run was too short to tell whether it grows"
        )
        yield f"**No error, and {growth}.**"
        return
    yield "**Not all was right:**"
    yield ""
    yield from (f"- {one}" for one in results["wrong"])
    if not long_enough:
        yield "- the run was too short to tell whether anything grows"


def _growth_allowed(judged_s: float) -> str:
    per_hour = 3_600 / max(judged_s, growth.JUDGED_S_MIN)
    return (
        f"A process grows where it surely has {growth.OWN_MIB.amount:g} MiB more at the end of that"
        f" half (here {growth.OWN_MIB.amount * per_hour:.2g} an hour) or"
        f" {growth.FILES.amount:g} open files ({growth.FILES.amount * per_hour:.2g}); slower leaks"
        " are not found. Answers take longer where the 95 % of a minute surely rose by a quarter."
    )


def _looked(results: Mapping[str, Any]) -> str:
    missed: Mapping[str, int] = results["looks_missed"]
    why = "".join(f", {count} × {name}" for name, count in missed.items())
    failed = sum(missed.values())
    return f"The processes were looked at {results['looks']:,} times; {failed} failed{why}."


def _users(users: Mapping[str, Any], cache: Mapping[str, float]) -> Iterator[str]:
    looks = sum(cache.values())
    hits = sum(cache.get(name, 0.0) for name in ("hit", "similar", "joined"))
    rows = {
        "questions asked, in sessions": f"{users['asked']:,}, {users['sessions']:,}",
        "answered, by numbers and text as they have to be": f"{users['answered']:,}",
        "told alike by the session's own stream": f"{users['told']:,}",
        "due before the last answer was there, not asked": f"{users['skipped']:,}",
        "answers a second": f"{users['answered_per_s']:g}",
        "of them asked before (hot answers)": f"{hits / looks:.0%}" if looks else "–",
        "first text, p50 / p95 / p99": f"{_three(users['first_ms'])} ms",
        "whole answer, p50 / p95 / p99": f"{_three(users['whole_ms'])} ms",
        "lines cut by users; by others; ended by pods that leave": (
            f"{users['cuts']:,}; {users['cut_off']:,}; {users['sent_away']:,}"
        ),
        "came back behind the last event": f"{users['reconnects']:,}",
        "least that were connected": f"{users['connected_min']:,}",
        "clients, cores; late by, p99": (
            f"{users['client_cores']:g}; {users['client_lag_ms']['p99'] or 0} ms"
        ),
    }
    yield from ("| what | figure |", "|---|---|")
    yield from (f"| {what} | {figure} |" for what, figure in rows.items())


def _over_time(course: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield (
        "| from minute | connected | answers/s | first text p50 / p95 / p99, ms"
        " | whole p50 / p95 / p99, ms | errors | clients, cores |"
    )
    yield "|---|---|---|---|---|---|---|"
    for it in course:
        yield (
            f"| {it['from_s'] / 60:.0f} | {it['connected_min']:,} | {it['answered_per_s']:g}"
            f" | {_three(it['first_ms'])} | {_three(it['whole_ms'])} | {it['errors']}"
            f" | {it['client_cores']:g} |"
        )


def _processes(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield (
        "| process | cores | own MiB, first → last (most) | MiB an hour (interval)"
        " | RSS MiB | open files, most |"
    )
    yield "|---|---|---|---|---|---|"
    for name, it in found.items():
        own = it["own_mib"]
        yield (
            f"| {name} | {it['cores']:g} | {own['first']:g} → {own['last']:g} ({own['most']:g})"
            f" | {_slope(it['own_mib_per_h_second_half'])}{' **grows**' if it['grows'] else ''}"
            f" | {it['rss_mib']['last']:g} | {it['files']['most']:g} |"
        )


def _store(found: Mapping[str, Any]) -> Iterator[str]:
    used = found["used_mib"]
    yield (
        f"Redis used {used['first']:g} MiB at first and {used['last']:g} at last, for"
        f" {found['keys']['last']:g} keys: {found['kib_a_turn'] or 0:g} KiB a turn. It keeps frames"
        " for ten minutes and the rest as long as sessions live: so long it has to grow. "
        + (
            "Behind that it grows where memory or keys surely rose by a tenth."
            if found["judged"]
            else f"Runs of {found['judged_from_s'] / 3_600:.2g} hours tell whether it goes on."
        )
    )


def _slope(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "–"
    return f"{found['per_hour']:g} ({found['low']:g} to {found['high']:g})"


def _three(found: Mapping[str, int | None]) -> str:
    return " / ".join("–" if found[name] is None else str(found[name]) for name in _SHARES)
