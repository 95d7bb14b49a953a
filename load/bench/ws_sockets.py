"""Measures many WebSocket connections on one pod: what each costs, and how punctual the pod is.

    python -m load.bench.ws_sockets --out load/results/ws_sockets

A real pod (gunicorn, gevent, Redis) whose answers are scripted. Most connections are idle and get a
ping every 20 s; the others follow a turn each, whose pieces come at a known pace, and get a ping
every 2 s. A ping is late by how much it comes after the one before it plus the interval; a frame by
how much it comes after its last piece was due, counted from the turn's quickest frame. The client
is one thread beside the pod: its own delays are in the figures.
"""

import argparse
import json
import resource
import selectors
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from kotaemon_node.domain.limits import HEARTBEAT_IDLE_S, HEARTBEAT_RUNNING_S
from load import surroundings
from load.kept import keep, progress
from tests.raw_websocket import CLOSE, PING, PONG, TEXT, RawSocket, frame
from tests.redis_server import RedisServer
from tests.scripted_pods import ScriptedPod

PAUSE_MS = 200
"""Between two pieces of an answer: as long as a frame may wait for more, so each is a frame."""


@dataclass
class Watched:
    """One connection and when what came on it; pings are counted from its beginning."""

    client: RawSocket
    pings_s: list[float] = field(default_factory=list)
    frames_s: list[tuple[float, int]] = field(default_factory=list)
    """When a text frame came, and how many pieces had come with it."""
    done: bool = False
    closed: bool = False


def main() -> int:
    """Measure, and write the results."""
    options = _options()
    began_s = time.monotonic()
    with _pod() as pod:
        before = pod.rss_bytes()
        everybody = []
        for _ in range(options.sockets):
            client = RawSocket(pod.port, "/ws/chat", receive_buffer=16_384)
            everybody.append(Watched(client, pings_s=[time.monotonic()]))
        opened = pod.rss_bytes()
        progress(
            f"{len(everybody)} connections, {(opened - before) / len(everybody) / 1e3:.0f} kB each"
        )
        # Those that speak begin one after the other over two seconds, as people do.
        busy = everybody[: options.turns]
        _watch(everybody, busy, seconds=options.seconds)
        most = pod.rss_bytes()
    results = {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "sockets": len(everybody),
        "turns": len(busy),
        "seconds": options.seconds,
        "took_s": round(time.monotonic() - began_s, 1),
        "memory_per_socket_bytes": round((opened - before) / len(everybody)),
        "memory_after_bytes": round((most - before) / len(everybody)),
        "idle_pings_late_ms": _late(_pings_late(everybody[options.turns :], HEARTBEAT_IDLE_S)),
        "running_pings_late_ms": _late(_pings_late(busy, HEARTBEAT_RUNNING_S, skipped=1)),
        "frames_late_ms": _late(_frames_late(busy)),
        "turns_done": sum(one.done for one in busy),
        "closed": sum(one.closed for one in everybody),
    }
    keep(options.out, results, report(results))
    progress(json.dumps(results))
    return int(results["closed"] > 0)


@contextmanager
def _pod() -> Iterator[ScriptedPod]:
    server = RedisServer()
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder, ScriptedPod(Path(folder), server.url) as pod:
            pod.ask("warm", "t", pieces=3)
            yield pod
    finally:
        server.remove()


def _watch(everybody: Sequence[Watched], busy: Sequence[Watched], *, seconds: float) -> None:
    """Read all connections for so long, and answer pings; ``busy`` ask first, spread over 2 s."""
    reading = selectors.DefaultSelector()
    for one in everybody:
        reading.register(one.client.sock, selectors.EVENT_READ, one)
    said = {"type": "message", "session_id": "", "text": ""}
    script = json.dumps({"pieces": int((seconds - 5) * 1000 / PAUSE_MS), "pause_ms": PAUSE_MS})
    began_s, asked = time.monotonic(), 0
    while (passed_s := time.monotonic() - began_s) < seconds:
        while asked < len(busy) and asked <= passed_s / 2 * len(busy):
            said |= {"session_id": f"s{asked}", "turn_id": f"t{asked}", "text": script}
            busy[asked].client.send(frame(TEXT, json.dumps(said).encode()))
            asked += 1
        for key, _ in reading.select(0.01):
            _read(key.data)
            if key.data.closed:
                reading.unregister(key.fileobj)


def _read(one: Watched) -> None:
    at_s = time.monotonic()
    while True:
        got = one.client.receive(10)
        if got is None or got.opcode == CLOSE:
            one.closed = True
            return
        if got.opcode == PING:
            one.pings_s.append(at_s)
            one.client.send(frame(PONG, got.payload))
        elif got.opcode == TEXT:
            told: dict[str, Any] = json.loads(got.payload)
            one.done = one.done or told["type"] == "done"
            if told["type"] == "text":
                pieces = (told["offset"] + len(told["content"])) // len("00000 ")
                one.frames_s.append((at_s, pieces))
        if not one.client.arrived:
            return


def _pings_late(watched: Sequence[Watched], interval_s: float, *, skipped: int = 0) -> list[float]:
    told = [one.pings_s[skipped:] for one in watched]
    pairs = [pair for pings in told for pair in pairwise(pings)]
    return [abs(later - earlier - interval_s) for earlier, later in pairs]


def _frames_late(watched: Sequence[Watched]) -> list[float]:
    late = []
    for one in watched:
        if one.frames_s:
            first_s, before = one.frames_s[0]
            due = [
                (at, first_s + (pieces - before) * PAUSE_MS / 1000) for at, pieces in one.frames_s
            ]
            soonest = min(at - planned for at, planned in due)  # the first may itself be late
            late += [at - planned - soonest for at, planned in due]
    return late


def _late(found: Sequence[float]) -> dict[str, float]:
    if not found:
        return {"n": 0}
    parts = statistics.quantiles(found, n=100) if len(found) > 1 else [found[0]] * 99
    shown = {"p50": parts[49], "p95": parts[94], "p99": parts[98], "max": max(found)}
    return {"n": len(found), **{name: round(1000 * value, 1) for name, value in shown.items()}}


def report(results: dict[str, Any]) -> str:
    """Return the results for people."""
    names = {
        "idle_pings_late_ms": "pings, idle (every 20 s)",
        "running_pings_late_ms": "pings while a turn runs (every 2 s)",
        "frames_late_ms": f"text frames (a piece every {PAUSE_MS} ms)",
    }
    lines = [
        "# WebSocket connections on one pod",
        "",
        f"{results['sockets']} connections, {results['turns']} of them in the middle of an answer,"
        f" for {results['seconds']:g} s. {results['machine']}. Commit {results['commit']}.",
        "",
        f"- memory of the pod, an idle connection: {results['memory_per_socket_bytes'] / 1e3:.0f}"
        f" kB; at the end, turns included: {results['memory_after_bytes'] / 1e3:.0f} kB",
        f"- connections that were lost: {results['closed']}",
        "",
        "| late by, ms | n | p50 | p95 | p99 | max |",
        "|---|---|---|---|---|---|",
    ]
    for name, told in names.items():
        row = results[name]
        figures = " | ".join(str(row.get(part, "-")) for part in ("n", "p50", "p95", "p99", "max"))
        lines.append(f"| {told} | {figures} |")
    return "\n".join([*lines, "", (__doc__ or "").split("\n\n")[2].replace("\n", " "), ""])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sockets", type=int, default=1_000)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=65.0)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))
    return options


if __name__ == "__main__":
    sys.exit(main())
