"""Plays everything that is wrong at the doors that stream, each door beside a neighbour who talks.

``step`` and ``count`` make it short or long: each ``step``-th public text, ``count`` random cases
of each kind. Every round is sent through the balancer and straight to the pod.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import grpc

from load.bad_input import calls, doors, resumes, sound, ws_frames, ws_messages
from load.bad_input.streaming import Neighbour, StreamingSite
from load.bad_input.tally import Memory, Tally
from tests.scripted_pods import until

_OPEN = "kotaemon_streams_active"
_FLOODS_FROM: Final = 20
Play = Callable[[Tally, StreamingSite, list[str], int, int], None]
"""Plays one round: tally, site, public texts, how many random cases, and the round's seed."""


def websocket(tally: Tally, site: StreamingSite, texts: list[str], count: int, seed: int) -> None:
    """Handshakes, frames, and messages that are none."""
    for port in (site.balancer_port, site.pod_port):
        for name, sent in ws_frames.handshakes():
            ws_frames.try_handshake(tally, port, name, sent)
        for case in ws_frames.cases():
            if count < _FLOODS_FROM and case.name.startswith("3,000"):
                continue  # it takes as many seconds as the pace of small frames allows
            ws_frames.try_case(tally, port, case)
        for case in ws_frames.fuzzed(count, seed=seed):
            ws_frames.try_case(tally, port, case, kind="fuzzed frames")
        talk = ws_messages.Talk(port)
        for number, text in enumerate(texts):
            talk.say(tally, "strings", str(number), text.encode())
        for number, raw in enumerate(ws_messages.shapes(count, texts, seed=seed)):
            talk.say(tally, "shapes", f"{number} {raw[:80]!r}", raw)
        talk.close()


def json_messages(data: Path) -> Play:
    """Return what says every text of the JSON suite on a connection."""

    def play(tally: Tally, site: StreamingSite, texts: list[str], count: int, seed: int) -> None:
        for port in (site.balancer_port, site.pod_port):
            talk = ws_messages.Talk(port)
            for name, raw, expected in doors.json_texts(data):
                # What does not begin as an object does is a question, be it JSON or not.
                refused = expected == "reject" and raw.lstrip()[:1] == b"{"
                talk.say(tally, "JSON texts", name, raw, refused=refused)
            talk.close()

    return play


def event_streams(
    tally: Tally, site: StreamingSite, texts: list[str], count: int, seed: int
) -> None:
    """Forged places and storms of readers."""
    resumes.prepare(site)
    for port in (site.balancer_port, site.pod_port):
        for target, last in resumes.places(texts, count, seed=seed):
            resumes.try_place(tally, f"http://127.0.0.1:{port}", target, last)
        resumes.storm(tally, port, count)


def rpc(tally: Tally, site: StreamingSite, texts: list[str], count: int, seed: int) -> None:
    """Messages, metadata, callers who leave, and HTTP/2 that breaks rules."""
    for port in (site.rpc_balancer_port, site.rpc_pod_port):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            for number, (name, raw) in enumerate(calls.messages(texts, count, seed=seed)):
                calls.try_message(tally, channel, name, raw, stream=bool(number % 2))
            calls.try_metadata(tally, channel, texts[:count])
            calls.try_leaving(tally, channel, count)
        for name, sent in calls.garbage(count, seed=seed):
            calls.try_garbage(tally, port, name, sent)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            good = calls.GenerateRequest(input="hello").SerializeToString()
            calls.try_message(tally, channel, "a good one afterwards", good, stream=False)


def voice(tally: Tally, site: StreamingSite, texts: list[str], count: int, seed: int) -> None:
    """Files and talks."""
    for name, raw in sound.files(count, seed=seed):
        sound.try_file(tally, site.url, name, raw)
    for port in (site.balancer_port, site.pod_port):
        for name, sent in sound.talks(count, seed=seed):
            sound.try_talk(tally, port, name, sent)


def plays(data: Path) -> Mapping[str, Play]:
    """Return what is played at each door."""
    return {
        "WebSocket": websocket,
        "JSON on a WebSocket": json_messages(data),
        "event streams": event_streams,
        "gRPC": rpc,
        "voice": voice,
    }


def played(
    site: StreamingSite,
    play: Play,
    texts: list[str],
    *,
    count: int,
    rounds: int,
    freed: bool = True,
) -> dict[str, Any]:
    """Play so many rounds; return what was counted, with everything that must not be as faults.

    ``freed``: wait until every stream is free again. An idle reader's leaving is seen when the
    third heartbeat behind it cannot be written, after up to a minute.
    """
    tally, memory = Tally(), Memory(site.held())
    trouble, process = len(site.trouble()), site.rpc_pid()
    memory.sample(0)
    with Neighbour(site) as neighbour:
        for seed in range(rounds):
            play(tally, site, texts, count, seed)
            memory.sample(tally.count)
    if freed:
        until(lambda: site.pod.metric(_OPEN) == 0, what="every stream is free again")
    faults = [*tally.faults, *neighbour.faults, *site.trouble()[trouble:]]
    if site.rpc_pid() != process:
        faults.append("the process that speaks gRPC was started anew")
    return {
        **tally.told(),
        "faults": faults,
        "memory": memory.told(),
        "neighbour": neighbour.told(),
    }


def report(found: Mapping[str, Any]) -> list[str]:
    """Return the doors for people, as lines of Markdown."""
    lines = ["", "Doors that stream, each beside a neighbour who talks:", ""]
    lines += [
        "| door | cases | ends | memory, by 1,000 cases | neighbour |",
        "|---|---|---|---|---|",
    ]
    for door, it in found.items():
        cases = ", ".join(f"{count:,} {kind}" for kind, count in it["cases"].items())
        ends = ", ".join(f"{end}: {count:,}" for end, count in list(it["ends"].items())[:8])
        memory = ", ".join(
            f"{name} {held['first_mb']} → {held['last_mb']} MB ({held['kb_per_1000_cases']:+} kB)"
            for name, held in it["memory"].items()
        )
        other = it["neighbour"]
        told = f"{other['turns']:,} turns, p50 {other['p50_ms']} ms, p99 {other['p99_ms']} ms"
        lines.append(f"| {door} | {cases} | {ends} | {memory} | {told} |")
    return lines
