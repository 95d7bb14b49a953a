"""Measures how a pod should serve ten thousand open streams and encode beside them (ADR 0001).

Each run starts one candidate under gunicorn, opens the streams, and then measures three phases:
no encoding, a steady rate, and as much as it takes. Runs of the candidates alternate over rounds;
one candidate runs twice a round under two names, which shows how far equal things differ.

    python load/bench/concurrency.py --models .models --out load/results/concurrency
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from concurrency_figures import report, spread
from concurrency_server import HERE, ROOT, Candidate, RunningServer

STREAMS = 10_000
STEADY_PER_S = 50.0

GEVENT_1 = Candidate("gevent, 1 native thread", "gevent", "pool", 1)
GEVENT_2 = Candidate("gevent, 2 native threads", "gevent", "pool", 2)
GEVENT_1_AGAIN = Candidate("gevent, 1 native thread (again)", "gevent", "pool", 1)
SPLIT = Candidate("gevent + encoder process", "gevent", "socket", 2)
INLINE = Candidate("gevent, encoding on the loop", "gevent", "inline", 1)
GEVENT_1_ONE_CORE = Candidate("gevent, 1 native thread, one core", "gevent", "pool", 1, cores=(0,))
SPLIT_ONE_CORE = Candidate("gevent + encoder process, one core", "gevent", "socket", 2, cores=(0,))


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a candidate and what is asked of it."""

    candidate: Candidate
    round: int
    interval_s: float
    phase_s: float
    phases: tuple[str, ...]
    streams: int = STREAMS


def gthread(threads: int) -> Candidate:
    """Return the candidate with a thread a stream; 200 more threads serve the other routes."""
    return Candidate(f"gthread, {threads} threads", "gthread", "inline", 1, threads + 200)


def planned(*, rounds: int, streams: int, phase_s: float) -> Iterator[Run]:
    """Yield the runs in order: neighbours in time are what is compared."""
    phases = ("none", "steady", "full")
    for number in range(rounds):
        order = [GEVENT_1, GEVENT_2, SPLIT, GEVENT_1_AGAIN]
        turned = phases[number % 3 :] + phases[: number % 3]
        for candidate in order if number % 2 == 0 else reversed(order):
            yield Run(candidate, number, 5.0, phase_s, turned, streams)
    for candidate in (GEVENT_1, GEVENT_2, SPLIT):
        yield Run(candidate, 0, 20.0, max(phase_s, 21.0), phases, streams)
    for candidate in (INLINE, GEVENT_1_ONE_CORE, SPLIT_ONE_CORE):
        yield Run(candidate, 0, 5.0, phase_s, phases, streams)
    for share in (0.1, 0.4, 1.0):
        wanted = int(streams * share)
        yield Run(gthread(wanted), 0, 5.0, phase_s, ("none", "full"), wanted)


def measured(run: Run, *, models: Path) -> dict[str, Any]:
    """Carry a run out and return its figures."""
    with RunningServer(run.candidate, models=models) as server:
        _encodes(server.port, phase="steady", seconds=1.0)
        before_bytes = server.rss_bytes()
        with _stream_clients(server.port, run) as clients:
            opened = json.loads(_line(clients))
            grown_bytes = server.rss_bytes() - before_bytes
            # Streams opened in a burst beat in a burst; one interval lets the opening's own
            # backlog drain before anything is judged.
            time.sleep(min(run.interval_s, 5.0))
            phases = {}
            for phase in run.phases if opened["open"] else ():
                phases[phase] = _phase(server, clients, phase=phase, seconds=run.phase_s)
            said = server.probe() if opened["open"] == opened["asked"] else {"threads": None}
            _tell(clients, "stop")
    return {
        "candidate": run.candidate.name,
        "round": run.round,
        "interval_s": run.interval_s,
        "opened": opened,
        "rss_before_mb": before_bytes / 1e6,
        "rss_per_stream_kb": grown_bytes / 1e3 / max(1, opened["open"]),
        "os_threads": said["threads"],
        "phases": phases,
    }


def _phase(
    server: RunningServer, clients: subprocess.Popen[str], *, phase: str, seconds: float
) -> dict[str, Any]:
    server.probe()
    _tell(clients, "reset")
    cpu_s, busy_s, started_s = server.cpu_s(), _busy_s(), time.monotonic()
    client_cpu_s = _cpu_s(clients.pid)
    encodes = None
    if phase == "none":
        time.sleep(seconds)
    else:
        encodes = _encodes(server.port, phase=phase, seconds=seconds)
    took_s = time.monotonic() - started_s
    used = {name: (now - cpu_s[name]) / took_s for name, now in server.cpu_s().items()}
    used["stream_clients"] = (_cpu_s(clients.pid) - client_cpu_s) / took_s
    _tell(clients, "report")
    said = server.probe()
    return {
        "streams": json.loads(_line(clients)),
        "encodes": encodes,
        "lag_ms": spread(said["lag_ms"]),
        "own_lag_ms": spread(said["own_lag_ms"]),
        "cpu": used,
        # Our encoding clients are in it too, with a few per cent.
        "cpu_others": max(0.0, (_busy_s() - busy_s) / took_s - sum(used.values())),
        "rss_mb": server.rss_bytes() / 1e6,
        "load": os.getloadavg()[0],
    }


def _encodes(port: int, *, phase: str, seconds: float) -> dict[str, Any]:
    rate = STEADY_PER_S if phase == "steady" else 0.0
    arguments = ["--port", str(port), "--rate", str(rate), "--seconds", str(seconds)]
    done = subprocess.run(
        [sys.executable, str(HERE / "concurrency_encodes.py"), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _stream_clients(port: int, run: Run) -> subprocess.Popen[str]:
    arguments = ["--port", str(port), "--count", str(run.streams)]
    arguments += ["--interval-s", str(run.interval_s)]
    return subprocess.Popen(
        [sys.executable, str(HERE / "concurrency_streams.py"), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def _tell(clients: subprocess.Popen[str], command: str) -> None:
    assert clients.stdin is not None
    clients.stdin.write(f"{command}\n")
    clients.stdin.flush()


def _line(clients: subprocess.Popen[str]) -> str:
    assert clients.stdout is not None
    return clients.stdout.readline()


def _busy_s() -> float:
    """CPU seconds that the whole machine has worked."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _cpu_s(pid: int) -> float:
    return float(sum(psutil.Process(pid).cpu_times()[:2]))


def _surroundings() -> Mapping[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        "commit": commit.stdout.strip(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "versions": {
            name: version(name) for name in ("gevent", "gunicorn", "flask", "onnxruntime")
        },
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def _progress(run: Run, figures: Mapping[str, Any]) -> None:
    opened = figures["opened"]
    parts = [f"{run.candidate.name} ({run.interval_s:g} s): {opened['open']}/{opened['asked']}"]
    for phase, seen in figures["phases"].items():
        late = seen["streams"]["late_ms"]
        rate = f", {seen['encodes']['per_s']:.0f}/s" if seen["encodes"] else ""
        parts.append(f"{phase}: late p99 {late['p99']:.0f} ms{rate}")
    print("; ".join(parts), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure as asked and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="folder of encoder weights")
    parser.add_argument("--out", type=Path, required=True, help="results: this name .json and .md")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--phase-s", type=float, default=11.0)
    parser.add_argument("--only", default="", help="candidates whose name this pattern finds")
    asked = parser.parse_args(arguments)
    results: dict[str, Any] = {"surroundings": _surroundings(), "runs": [], "failed": []}
    for run in planned(rounds=asked.rounds, streams=asked.streams, phase_s=asked.phase_s):
        if not re.search(asked.only, run.candidate.name):
            continue
        try:
            figures = measured(run, models=asked.models.resolve())
        except (
            OSError,
            ValueError,
            RuntimeError,
            psutil.Error,
            subprocess.SubprocessError,
        ) as error:
            # A candidate that breaks under the load is a finding, not an end of the measure.
            results["failed"].append({"candidate": run.candidate.name, "reason": repr(error)})
            print(f"{run.candidate.name}: {error!r}", flush=True)
            continue
        results["runs"].append({**figures, "settings": asdict(run.candidate)})
        _progress(run, figures)
    asked.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    asked.out.with_suffix(".md").write_text(report(results), "utf-8")


if __name__ == "__main__":
    main()
