"""Measures what it costs that Redis holds nothing in the clear: frames, turns and bytes.

    python -m load.bench.sealed_frames --out load/results/sealed_frames

Two arms on one real Redis, in turns of a second or less, so that whatever else the machine does
meets both: one with the seal of a pod (AES-256-GCM, data keys under a master key), one without.
"""

import argparse
import json
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from kotaemon_node.adapters.redis import (
    RedisDataKeys,
    RedisFrameLog,
    RedisSessionStore,
    connect,
)
from kotaemon_node.adapters.sealing import DataKeyRing, MasterKeyLines, SealingCipher
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.adapters.system.secret_file import FixedLines
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.cipher import FieldCipher, NoCipher, SealedPlace
from kotaemon_node.ports.frame_log import FrameBatch
from kotaemon_node.ports.sessions import ClaimRequest, Ending, Work
from load import surroundings
from load.bench import frames

ANYBODY: Final = Principal("default", "anonymous", "open")
PIECE: Final = "four or five words more "
ANSWER: Final = PIECE * 60
TURNS_AT_ONCE: Final = 64  # of one flush of a busy pod: a frame of each
FLUSHES: Final = 40
COST_MAX: Final = 1.5
"""A sealed turn may take half as long again; that is well below what a model's first word takes."""


class Arm:
    """A pod's stores, with or without the seal."""

    def __init__(self, name: str, url: str, cipher: FieldCipher) -> None:
        self.name = name
        self.cipher = cipher
        self.store = connect(url, cipher=cipher)
        self.sessions = RedisSessionStore(self.store, ttl_s=48 * 3600, idle_s=1800)
        self.log = RedisFrameLog(self.store, clock=SystemClock(), tasks=ThreadTasks())
        self.flushed: list[float] = []
        """Frames a second, of each round."""
        self.turns_ms: list[float] = []

    def begin(self, session: str, turn: str) -> Work:
        """Claim a turn."""
        claim = self.sessions.claim(
            ClaimRequest(
                key=TurnKey(SessionKey("default", f"{self.name}-{session}"), turn),
                principal=ANYBODY,
                digest="digest",
                message="How do I return a cup that came with a crack?",
                options={"kb": "default"},
                on_busy="enqueue",
                owner="worker-0.0123456789ab",
                trace_id=turn,
                create_session=True,
                new_epoch=secrets.token_hex(16),
            )
        )
        assert claim.work is not None
        return claim.work

    def end(self, work: Work, seq: int) -> None:
        """Commit it."""
        turn = Turn(work.lease.key.turn_id, work.message, State.DONE, answer=ANSWER)
        done = FrameBody("done", {"state": "done", "usage": {}, "timings": {}})
        self.sessions.commit(work.lease, Ending(turn, done, seq), take_next=True)

    def flush(self, round_name: str) -> None:
        """Write frames of many turns, a flush at a time, as the group commit does."""
        works = [self.begin(f"{round_name}-{n}", "t1") for n in range(TURNS_AT_ONCE)]
        began_s = time.perf_counter()
        for number in range(FLUSHES):
            body = (FrameBody("text", {"content": PIECE, "offset": number * len(PIECE)}),)
            results = self.log.append([FrameBatch(it.lease, number + 1, body) for it in works])
            assert results == [None] * TURNS_AT_ONCE
        self.flushed.append(TURNS_AT_ONCE * FLUSHES / (time.perf_counter() - began_s))
        for work in works:
            self.end(work, FLUSHES + 1)

    def talk(self, round_name: str, turns: int) -> None:
        """Execute turns of one session, whose history grows: claim, eight flushes, commit."""
        for number in range(turns):
            began_s = time.perf_counter()
            work = self.begin(round_name, f"t{number}")
            for seq in range(1, 9):
                body = (FrameBody("text", {"content": PIECE, "offset": seq * len(PIECE)}),)
                assert self.log.append([FrameBatch(work.lease, seq, body)]) == [None]
            self.end(work, 9)
            self.turns_ms.append((time.perf_counter() - began_s) * 1000)


def once_us(cipher: FieldCipher) -> float:
    """Return how long a frame takes to seal, without Redis."""
    value, place = PIECE.encode(), SealedPlace("default", "frame 17 K3", "s1", "t1")
    runs = 20_000
    began_s = time.perf_counter()
    for _ in range(runs):
        cipher.seal(value, place)
    return (time.perf_counter() - began_s) / runs * 1e6


def sealing(url: str) -> SealingCipher:
    """Return the seal of a pod whose data keys lie in the Redis at ``url``."""
    masters = MasterKeyLines(FixedLines((secrets.token_hex(32),)))
    keys = RedisDataKeys(connect(url))
    return SealingCipher(DataKeyRing(keys, masters, copies=None, clock=SystemClock()))


def measure(rounds: int, turns: int, tokens: Sequence[str]) -> dict[str, Any]:
    """Return the figures of both arms and their ratios."""
    with frames.running_redis() as server:
        arms = [
            Arm("plain", server.url, NoCipher()),
            Arm("sealed", server.url, sealing(server.url)),
        ]
        for arm in arms:  # scripts, keys and connections are there before anything is timed
            arm.talk("warm", 3)
            arm.turns_ms.clear()
        for number in range(rounds):
            # Who comes first in a round changes from one to the next.
            for arm in arms if number % 2 else reversed(arms):
                arm.flush(f"round-{number}")
                arm.talk(f"talk-{number}", turns)
        found = {arm.name: _figures(arm) for arm in arms}
    for name, cipher_at in (("plain", lambda url: None), ("sealed", sealing)):
        found[name] |= _grown(tokens, cipher_at)
    plain, sealed = found["plain"], found["sealed"]
    ratios = {
        name: round(sealed[name] / plain[name], 3)
        for name in ("frames_per_s", "turn_ms_p50", "turn_ms_p95")
    }
    return {"rounds": rounds, **found, "sealed_to_plain": ratios}


def _grown(tokens: Sequence[str], cipher_at: Callable[[str], FieldCipher | None]) -> dict[str, Any]:
    """Return what a long answer takes, as ``load.bench.frames`` measures it."""
    found = frames.measure(tokens, cipher_at=cipher_at)
    wanted = ("answer_bytes", "frames", "memory_ratio", "file_ratio")
    return {name: found[name] for name in wanted}


def _figures(arm: Arm) -> dict[str, float]:
    return {
        "frames_per_s": round(statistics.median(arm.flushed)),
        "turn_ms_p50": round(statistics.median(arm.turns_ms), 2),
        "turn_ms_p95": round(statistics.quantiles(arm.turns_ms, n=20)[-1], 2),
        "turns": len(arm.turns_ms),
        "seal_us": round(once_us(arm.cipher), 2),
    }


def markdown(found: dict[str, Any]) -> str:
    """Return the page of the result."""
    rows: Sequence[tuple[str, Callable[[dict[str, Any]], Any]]] = (
        (f"frames a second, {TURNS_AT_ONCE} turns a flush", lambda it: it["frames_per_s"]),
        ("turn of eight flushes, median (ms)", lambda it: it["turn_ms_p50"]),
        ("the same, of one in twenty (ms)", lambda it: it["turn_ms_p95"]),
        ("one frame sealed, without Redis (µs)", lambda it: it["seal_us"]),
        ("memory of an answer of 30,000 tokens, to its text", lambda it: it["memory_ratio"]),
        ("append-only file of the same, to its text", lambda it: it["file_ratio"]),
    )
    lines = [f"| {name} | {of(found['plain'])} | {of(found['sealed'])} |" for name, of in rows]
    ratios = found["sealed_to_plain"]
    return "\n".join(
        [
            "# What the seal costs in Redis",
            "",
            "`python -m load.bench.sealed_frames`: one Redis with an append-only file, both arms in"
            f" turns, {found['rounds']} rounds, one process, one connection at a time.",
            "",
            "| | plain | sealed |",
            "|---|---|---|",
            *lines,
            "",
            f"Sealed to plain: frames a second {ratios['frames_per_s']}, turn"
            f" {ratios['turn_ms_p50']} (median), {ratios['turn_ms_p95']} (one in twenty).",
            "",
            f"Commit {found['commit']}, {found['machine']}.",
            "",
        ]
    )


def main() -> int:
    """Measure; return 0 when a sealed turn takes no more than ``COST_MAX`` of a plain one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--models", type=Path, default=frames.ROOT / ".models")
    parser.add_argument("--turns", type=int, default=40)
    asked = parser.parse_args()
    words = frames.tokens_of(asked.models, frames.ENGLISH, frames.english())
    tokens = list(islice(cycle(words), frames.TOKENS))
    found = measure(asked.rounds, asked.turns, tokens)
    found |= {"commit": surroundings.commit(), "machine": surroundings.machine()}
    asked.out.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    asked.out.with_suffix(".md").write_text(markdown(found), "utf-8")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return int(found["sealed_to_plain"]["turn_ms_p50"] > COST_MAX)


if __name__ == "__main__":
    sys.exit(main())
