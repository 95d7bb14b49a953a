"""Runs a cluster, its users and the watcher, and puts together what they saw."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar
from xmlrpc.client import Fault

from kotaemon_node.local.errors import LocalError
from load import surroundings
from load.bench.speed.corpus import write_documents
from load.soak import figures
from load.soak.plan import Plan, Row
from load.soak.watching import Look, Watcher, answer_cache, restarts
from tests.cluster import Cluster

_ROOT: Final = Path(__file__).resolve().parents[2]
_TOLD_EVERY_S: Final = 60.0
_LOOKS_MIN: Final = 2
_LINES_KEPT: Final = 20
_ARCHIVED_TIMES: Final = 4
"""So long as sessions are kept are they kept in the archive: the disk is to fill no more either."""

Tell = Callable[[str], None]
_T = TypeVar("_T")


class NotRun(Exception):
    """The users' process failed, or nothing was asked: there is nothing to keep."""


@dataclass(slots=True)
class Seen:
    """What came of the users' process."""

    rows: list[Row] = field(default_factory=list)
    began_s: float = 0.0
    """When the first question was due, on the clock of ``time.monotonic``."""
    ended_s: float = 0.0
    stopped_early: bool = False
    troubles: list[str] = field(default_factory=list)
    """What failed of the run itself, when there was something to keep already."""


def soak(
    plan: Plan, *, workers: int, look_s: float, tell: Tell
) -> tuple[dict[str, Any], Sequence[Look]]:
    """Return what is kept, and the looks that its plots show. Raises ``NotRun``."""
    commit, machine = surroundings.commit(), surroundings.machine()
    with tempfile.TemporaryDirectory(prefix="kn-soak-") as name:
        folder = Path(name)
        write_documents(folder / "knowledge", passages=plan.documents)
        tell(f"starting {workers} workers; {plan.documents} documents are read")
        troubles: list[str] = []
        cluster = Cluster(
            folder / "data",
            workers=workers,
            knowledge=folder / "knowledge",
            environment={
                "SESSION_TTL_S": str(plan.session_ttl_s),
                "ARCHIVE_KEPT_S": str(plan.session_ttl_s * _ARCHIVED_TIMES),
            },
        )
        with _up(cluster, troubles):
            plan = replace(plan, port=cluster.port)
            before, logged = answer_cache(cluster), len(cluster.log("haproxy"))
            with Watcher(cluster, look_s) as watcher:
                seen = _users(plan, tell)
            troubles += seen.troubles
            after = _tried("pods' figures", troubles, lambda: answer_cache(cluster))
            log = _tried("HAProxy's log", troubles, lambda: cluster.log("haproxy"))
            taken_out = pods_taken_out((log or "")[logged:])
    looks = [it for it in watcher.looks if it.at_s >= seen.began_s]
    if len(looks) < _LOOKS_MIN:
        raise NotRun(
            f"Of {look_s:g} s each, {len(looks)} looks came off and {watcher.missed.total()} failed"
            f" ({', '.join(watcher.missed)}): too few to tell anything. Ask longer, or see why."
        )
    users, found = figures.summary(seen.rows), figures.processes(looks)
    course = figures.over_time(seen.rows)
    redis = figures.store(
        looks,
        turns=users["answered"],
        kept_s=plan.turns * plan.every_s + plan.session_ttl_s,
        wave_s=plan.turns * plan.every_s,
    )
    troubles += figures.unwatched(
        watcher.looks,
        watcher.missed,
        began_s=seen.began_s,
        ended_s=seen.ended_s,
        every_s=look_s,
    )
    results = {
        "commit": commit,
        "machine": machine,
        "workers": workers,
        "plan": asdict(plan),
        "wrong": figures.verdict(
            users,
            found,
            restarted=restarts(watcher.looks),
            taken_out=len(taken_out),
            redis_grows=redis["grows"],
            slower=figures.slower(course),
            besides=troubles,
        ),
        "pods_taken_out": taken_out[:_LINES_KEPT],
        "long_enough_for_growth": figures.long_enough(looks),
        "growth_judged_s": round(figures.judged_s(looks), 1),
        "stopped_early": seen.stopped_early,
        "machine_taken_by_others": figures.others(
            looks, clients_cores=users["client_cores"], cores=os.cpu_count() or 1
        ),
        "users": users,
        "answer_cache": counted_since(before, after or {}),
        "over_time": course,
        "processes": found,
        "redis": redis,
        "looks": len(looks),
        "looks_missed": dict(watcher.missed),
    }
    return results, looks


def counted_since(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return by how much counters rose; empty where one fell, for a pod began anew."""
    rose = {name: count - before.get(name, 0.0) for name, count in after.items()}
    return {} if any(count < 0 for count in rose.values()) else rose


def pods_taken_out(log: str) -> list[str]:
    """Return the lines by which HAProxy says that it uses a pod no more."""
    return [line for line in log.splitlines() if " is DOWN" in line]


@contextmanager
def _up(cluster: Cluster, troubles: list[str]) -> Iterator[None]:
    """Run the cluster; that it cannot be stopped loses nothing of what was seen."""
    cluster.up()
    try:
        yield
    finally:
        try:
            cluster.down()
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            first, _, _ = str(error).partition("\n")
            troubles.append(f"the cluster did not stop: {first}")


def _tried(what: str, troubles: list[str], ask: Callable[[], _T]) -> _T | None:
    """Return what is asked behind the run, or None: what went wrong is told, and the rest kept."""
    try:
        return ask()
    except (LocalError, OSError, Fault) as error:  # those of requests are errors of I/O
        troubles.append(f"{what} could not be read: {type(error).__name__}")
        return None


def _users(plan: Plan, tell: Tell) -> Seen:
    """Let the users come and ask, until their time is over or somebody ends the run."""
    seen = Seen()
    process = subprocess.Popen(
        [sys.executable, "-m", "load.soak.users"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with _ended_early(process, seen):
        json.dump(asdict(plan), process.stdin)
        process.stdin.close()
        told_s = time.monotonic()
        for line in process.stdout:
            try:
                _note(seen, _row(line))
            except ValueError:
                continue  # its process died over this line, as its status says
            if time.monotonic() - told_s >= _TOLD_EVERY_S or len(seen.rows) == 1:
                told_s = time.monotonic()
                tell(_progress(seen))
        status, seen.ended_s = process.wait(), time.monotonic()
        if not seen.began_s:
            raise NotRun("The users' process ended before it asked; the lines above say why.")
        if status:
            seen.troubles.append(
                f"the users' process ended with status {status},"
                f" in minute {seen.rows[-1].at_s / 60:.0f}"
            )
    return seen


@contextmanager
def _ended_early(process: "subprocess.Popen[str]", seen: Seen) -> Iterator[None]:
    """While the block runs, signals end the users, so that what was seen is put together."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        seen.stopped_early = True
        process.terminate()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if process.poll() is None:
            process.kill()
            process.wait()


def _note(seen: Seen, row: Row) -> None:
    seen.rows.append(row)
    if row.at_s and not seen.began_s:
        seen.began_s = time.monotonic() - row.at_s


def _row(line: str) -> Row:
    """Return a row as the users' process told it: JSON makes texts of numbers as names."""
    said = json.loads(line)
    for name in ("first_ms", "whole_ms", "lag_ms"):
        said[name] = {int(value): count for value, count in said[name].items()}
    return Row(**said)


def _progress(seen: Seen) -> str:
    row = seen.rows[-1]
    shown = figures.summary(seen.rows[-6:])
    return (
        f"minute {row.at_s / 60:.0f}: {row.connected} connected,"
        f" {shown['answered_per_s']:g} answers/s, p99 {shown['whole_ms']['p99']} ms,"
        f" errors so far {sum(sum(one.errors.values()) for one in seen.rows)}"
    )
