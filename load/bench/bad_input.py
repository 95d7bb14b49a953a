"""Tries bad input at every door of a real cluster, and counts what was tried.

    python -m load.bench.bad_input --data ../shared/data --out load/results/bad-input [PART …]

Parts: ``http`` (malformed and smuggling messages through the balancer and straight to a pod),
``http2`` (broken frames, strange requests and floods over TLS), ``doors`` (JSON texts and strings
at every door of a whole cluster), ``documents`` (damaged files and bombs through the children that
read), ``slow`` (crowds beside a healthy client). A part that is not named keeps the figures that it
has.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import structlog

from load import surroundings
from load.bad_input import doors, forms, streams
from load.bad_input.children import Children, made_bombs
from load.bad_input.documents import damaged
from load.bad_input.messages import Player, messages
from load.bad_input.neighbour import Neighbour
from load.bad_input.site import Site
from load.bad_input.slow import CROWDS, RATIO_MAX
from load.bad_input.streaming import StreamingSite
from load.bad_input.tls_site import TlsSite, all_faults
from load.kept import keep, progress
from tests.cluster import Cluster
from tests.redis_server import RedisServer

_MB = 1024**2
_FLOOD = 20_000


def http(data: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Play every message of the public set, and those made of them."""
    played = list(messages(data))
    with _site(folder) as site:
        player = Player(site)
        found = {"balanced": [], "direct": []}  # type: dict[str, list[Any]]
        rss = site.pod.rss_bytes()
        for message in played:
            found["balanced"].append(player.balanced(message))
            found["direct"].append(player.direct(message))
        grown = site.pod.rss_bytes() - rss
    return {
        "messages": len(played),
        "grown_mb": round(grown / _MB, 1),
        **{
            way: {
                "first_statuses": _counted(it.statuses[0] if it.statuses else 0 for it in results),
                "taken_although_strict_readers_refuse": sum(
                    it.accepted and it.expected == "reject" for it in results
                ),
                "faults": [f"{it.id}: {it.fault}" for it in results if it.fault],
            }
            for way, results in found.items()
        },
    }


def http2(data: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Play broken frames, requests that HTTP/1.1 reads otherwise, and floods of 20,000."""
    with _store() as redis, TlsSite(folder, redis.url) as site:
        return dict(all_faults(site, count=_FLOOD))


def at_doors(data: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Send JSON texts, strings and forms to every door of a whole cluster."""
    json_texts = list(doors.json_texts(data))
    strings = doors.texts(data)
    total = Counter[str]()
    statuses = Counter[int]()
    faults: list[str] = []
    with Cluster(folder / "cluster", workers=2, plugins="sample") as cluster:
        caller = doors.Caller(cluster.port)
        described = doors.doors(caller)
        rss = {name: _rss(cluster, name) for name in ("worker-0", "worker-1", "coordinator")}

        def note(kind: str, tried: doors.Tried) -> None:
            total[kind] += tried.count
            statuses.update(tried.statuses)
            faults.extend(tried.faults)

        neighbour = Neighbour(cluster.port)
        with neighbour:
            for number, door in enumerate(described):
                if door.reads_json:
                    note("JSON texts", doors.try_json(caller, door, json_texts))
                # Each string meets each door over the runs; in one run each so manieth of them.
                chosen = strings[number % options.step :: options.step]
                note("strings", doors.try_texts(caller, door, chosen))
            progress(f"{sum(total.values())} requests at {len(described)} doors")
            note("forms", forms.try_forms(caller))
            note("names of files", forms.try_names(caller, strings[:: options.step]))
        faults.extend(f"neighbour: {it}" for it in neighbour.failed)
        grown = {name: round((_rss(cluster, name) - it) / _MB, 1) for name, it in rss.items()}
        alive = doors.Caller(cluster.port).ask("GET", "/ask?q=shipping").status
        errors = sum('"level":"error"' in cluster.log(name) for name in rss)
    return {
        "doors": len(described),
        "requests": dict(total),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "faults": faults,
        "logs_with_errors": errors,
        "grown_mb": grown,
        "neighbour": neighbour.told(),
        "an_ordinary_question_afterwards": alive,
    }


def documents(data: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Read bombs and damaged documents in the children, a good one beside each."""
    with Children() as children:
        bombed = children.read_all(made_bombs())
        progress(f"{bombed.count} bombs")
        broken = children.read_all(damaged(data))
    return {
        "bombs": {"count": bombed.count, **bombed.told()},
        "damaged": {"count": broken.count, **broken.told()},
        "faults": bombed.faults + broken.faults,
    }


def slow(data: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Let crowds stand beside a healthy client."""
    with _site(folder) as site:
        found = [make(site, options.crowd) for make in CROWDS.values()]
    rows = [{**asdict(it), "ratio": round(it.ratio, 2)} for it in found]
    harmed = [it.crowd for it in found if it.failed or it.requests_read or it.ratio > RATIO_MAX]
    return {"crowds": rows, "ratio_max": RATIO_MAX, "faults": harmed}


def streaming(data: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Play what is wrong at the doors that stream, each beside a neighbour who talks."""
    texts = doors.texts(data)[:: options.step]
    found = {}
    with _store() as store, StreamingSite(folder, store.url, voice=True) as site:
        for name, play in streams.plays(data).items():
            found[name] = streams.played(
                site, play, texts, count=options.count, rounds=options.rounds
            )
            progress(f"{name}: {found[name]['cases']}")
    faults = [f"{name}, {fault}" for name, it in found.items() for fault in it.pop("faults")]
    return {"doors": found, "faults": faults}


PARTS = {
    "http": http,
    "http2": http2,
    "doors": at_doors,
    "documents": documents,
    "slow": slow,
    "streams": streaming,
}


def report(results: Mapping[str, Any]) -> str:
    """Return the results for people."""
    lines = [
        "# Bad input at every door",
        "",
        "Made by `python -m load.bench.bad_input`. Faults: no end, a 5xx, a refusal that is not in"
        " the form of errors, another reading by pod than by balancer, another client's request"
        " harmed, a parser's crash.",
        "",
        "| part | tried | faults | memory | commit | machine |",
        "|---|---|---|---|---|---|",
    ]
    for name, part in results.items():
        tried, memory = _told(name, part)
        faults = len(part.get("faults", ())) + sum(
            len(part[way]["faults"]) for way in ("balanced", "direct") if way in part
        )
        lines.append(
            f"| {name} | {tried} | {faults} | {memory} | `{part['commit']}` | {part['machine']} |"
        )
    if neighbour := results.get("doors", {}).get("neighbour"):
        lines += [
            "",
            f"A neighbour asked {neighbour['asked']:,} questions beside the doors' requests:"
            f" {neighbour['failed']} failed, median {neighbour['alone_ms']} ms alone and"
            f" {neighbour['beside_ms']} ms beside them (p99 {neighbour['beside_p99_ms']} ms).",
        ]
    if "streams" in results:
        lines += streams.report(results["streams"]["doors"])
    if "slow" in results:
        lines += ["", "A healthy client beside crowds (medians):", ""]
        lines += ["| crowd | connections | alone | beside | ratio | cut off after |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [
            f"| {it['crowd']} | {it['connections']:,} | {it['alone_ms']:.1f} ms |"
            f" {it['beside_ms']:.1f} ms | {it['ratio']} | {it['cut_off_after_s']:.0f} s |"
            for it in results["slow"]["crowds"]
        ]
    return "\n".join(lines) + "\n"


def _told(name: str, part: Mapping[str, Any]) -> tuple[str, str]:
    if name == "http":
        return f"{part['messages']:,} messages, each in two ways", f"pod {part['grown_mb']:+} MB"
    if name == "streams":
        cases = {door: sum(it["cases"].values()) for door, it in part["doors"].items()}
        return ", ".join(f"{count:,} at {door}" for door, count in cases.items()), "below"
    if name == "http2":
        floods = part["floods"].values()
        tried = f"{part['broken']} broken frames, {part['strange']} strange requests"
        frames = f"{sum(it['frames'] for it in floods):,} frames of {len(floods)} floods"
        balancer, pod = (
            max(it[of] for it in floods) / _MB for of in ("balancer_bytes", "pod_bytes")
        )
        return f"{tried}, {frames}", f"balancer {balancer:+.1f} MB, pod {pod:+.1f} MB"
    if name == "doors":
        counts = ", ".join(f"{count:,} {kind}" for kind, count in part["requests"].items())
        grown = ", ".join(f"{it} {mb:+} MB" for it, mb in part["grown_mb"].items())
        return f"{part['doors']} doors: {counts}", grown
    if name == "documents":
        bombed, broken = part["bombs"], part["damaged"]
        tried = f"{bombed['count']} bombs, {broken['count']:,} damaged documents"
        most = max(bombed["child_mb_max"], broken["child_mb_max"])
        return (
            tried,
            f"coordinator {broken['coordinator_grown_mb']:+} MB, a child {most} MB at most",
        )
    grown = max(it["grown_bytes"] for it in part["crowds"]) / _MB
    return f"{len(part['crowds'])} crowds", f"pod {grown:+.1f} MB"


def _counted(values: Any) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _rss(cluster: Cluster, name: str) -> int:
    found: int = psutil.Process(cluster.pid(name)).memory_info().rss
    return found


@contextmanager
def _store() -> Iterator[RedisServer]:
    redis = RedisServer()
    redis.start()
    try:
        yield redis
    finally:
        redis.remove()


@contextmanager
def _site(folder: Path) -> Iterator[Site]:
    """Run a site on a Redis of its own."""
    with _store() as redis, Site(folder, redis.url) as site:
        yield site


def main(arguments: list[str]) -> int:
    """Run; the status tells whether there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("load/results/bad-input"))
    parser.add_argument("--step", type=int, default=5, help="of the strings each so manieth a door")
    parser.add_argument("--count", type=int, default=60, help="random cases of each kind")
    parser.add_argument("--rounds", type=int, default=4, help="of the doors that stream")
    parser.add_argument("--crowd", type=int, default=2_000)
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    kept = options.out.with_suffix(".json")
    results = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    for name in options.parts or PARTS:
        progress(name)
        with tempfile.TemporaryDirectory(prefix="kn-bad-") as folder:
            began_s = time.monotonic()
            found = PARTS[name](options.data, Path(folder), options)
        took = {"seconds": round(time.monotonic() - began_s)}
        where = {"commit": surroundings.commit(), "machine": surroundings.machine()}
        results[name] = {**found, **took, **where}
        keep(options.out, results, report(results))
    print(report(results))
    return int(any('"faults": []' not in json.dumps(it) for it in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
