"""Measures what a long answer costs the store: its memory and its append-only file.

    python -m load.bench.frames --out load/results/frames

The real writer, group commit and scripts on a real Redis. Only the clock is not real: the ten
minutes in which a model says 30,000 tokens at 50 a second pass as fast as the store takes them.
Tokens are pieces of the project's own texts, cut by the default encoder's tokenisers.
"""

import argparse
import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import redis
from tokenizers import Tokenizer

from kotaemon_node.adapters.redis import RedisFrameLog, RedisSessionStore, connect
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.system import RandomIds, SystemClock, ThreadTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.group_commit import GroupCommit
from kotaemon_node.engine.live import LiveTurns
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.cipher import FieldCipher
from kotaemon_node.ports.sessions import ClaimRequest, Ending, Work
from kotaemon_node.telemetry.metrics import Metrics
from load import surroundings
from tests.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
TOKENS = 30_000
TOKENS_PER_S = 50
RATIO_MAX = 4.0
ENGLISH, CHINESE = "all-MiniLM-L6-v2", "bge-small-zh-v1.5"
ANYBODY = Principal("default", "anonymous", "open")


class SteppedClock(SystemClock):
    """A clock that is moved by hand; whoever waits on it is woken by what is written."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def monotonic_s(self) -> float:
        return self.at_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait()


def english() -> str:
    """Return the sentences of the project's documentation: no tables, no code, no repetition."""
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))]
    lines = [line.strip("-* ").replace("`", "") for text in texts for line in text.splitlines()]
    return "\n".join(line for line in lines if line[:1].isalpha() and "|" not in line)


def chinese() -> str:
    """Return the sample documents, again and again."""
    folder = ROOT / "sample" / "knowledge"
    return "\n".join(path.read_text("utf-8") for path in sorted(folder.glob("*-zh.*")))


def tokens_of(folder: Path, model: str, text: str) -> list[str]:
    """Return the text in pieces, one a token, blanks with the token behind them."""
    tokenizer = Tokenizer.from_file(str(folder / model / "tokenizer.json"))
    tokenizer.no_truncation()
    ends = [end for start, end in tokenizer.encode(text, add_special_tokens=False).offsets]
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]


def batched(tokens: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the tokens two by two."""
    return (tokens[at : at + 2] for at in range(0, len(tokens), 2))


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    try:
        yield server
    finally:
        server.remove()


def measure(
    tokens: Sequence[str], *, cipher_at: Callable[[str], FieldCipher | None] = lambda url: None
) -> dict[str, Any]:
    """Write one answer and return what grew by how much, in bytes and as ratios to its size.

    ``cipher_at`` returns what seals it in the Redis at a URL.
    """
    with running_redis() as server:
        store, clock = connect(server.url, cipher=cipher_at(server.url)), SteppedClock()
        tasks = ThreadTasks()
        sessions = RedisSessionStore(store, ttl_s=48 * 3600, idle_s=1800)
        log = RedisFrameLog(store, clock=clock, tasks=tasks)
        _answer(sessions, log, clock, tasks, tokens[:TOKENS_PER_S])  # loads scripts, makes buffers
        before = _sizes(store.client)
        key = _answer(sessions, log, clock, tasks, tokens)
        after = _sizes(store.client)
        frames = SessionKeys.of(key.session).frames(key.turn_id)
        size = len("".join(tokens).encode())
        return {
            "tokens": len(tokens),
            "answer_bytes": size,
            "bytes_per_token": round(size / len(tokens), 2),
            "frames": int(store.client.xlen(frames)),
            "frames_expire_in_s": int(store.client.ttl(frames)),
            "memory_bytes": after["memory"] - before["memory"],
            "memory_ratio": round((after["memory"] - before["memory"]) / size, 2),
            "file_bytes": after["file"] - before["file"],
            "file_ratio": round((after["file"] - before["file"]) / size, 2),
        }


def _answer(
    sessions: RedisSessionStore,
    log: RedisFrameLog,
    clock: SteppedClock,
    tasks: ThreadTasks,
    tokens: Sequence[str],
) -> TurnKey:
    ids = RandomIds()
    key = TurnKey(SessionKey("default", ids.new_id()), ids.new_id())
    claim = sessions.claim(
        ClaimRequest(
            key=key,
            principal=ANYBODY,
            digest="digest",
            message="How do I return a cup?",
            options={},
            on_busy="enqueue",
            owner="worker-0.0123456789ab",
            trace_id=ids.new_id(),
            create_session=True,
            new_epoch=ids.new_id(),
        )
    )
    assert claim.work is not None
    commit = GroupCommit(log, clock=clock, tasks=tasks, metrics=Metrics())
    live = LiveTurns().open(key, (), fence=claim.work.lease.fence)
    out = FrameWriter(claim.work, commit=commit, live=live, clock=clock)
    out.status("generation", latency_s=0.0)
    out.drain()
    due_s = 0.0  # the first goes at once
    for token in tokens:
        clock.at_s += 1 / TOKENS_PER_S
        if any(outbox.due_s <= clock.at_s for outbox in list(commit.waiting)):
            out.drain()
        out.text(token)
        if due_s == 0.0:
            out.drain()
        due_s = clock.at_s
    out.drain()
    _commit(sessions, claim.work, out)
    return key


def _commit(sessions: RedisSessionStore, work: Work, out: FrameWriter) -> None:
    turn = Turn(
        turn_id=work.lease.key.turn_id,
        message=work.message,
        state=State.DONE,
        answer=out.answer,
        trace_id=work.lease.trace_id,
    )
    done = FrameBody("done", {"state": "done", "usage": {}, "timings": {}})
    sessions.commit(work.lease, Ending(turn, done, out.seq + 1), take_next=True)


def _sizes(client: redis.Redis) -> dict[str, int]:
    # What is freed slowly, and buffers of clients, are not the answer's.
    client.execute_command("MEMORY", "PURGE")
    info: Any = client.info("all")
    return {
        "memory": info["used_memory_dataset"] + info["used_memory_overhead"]
        - info["mem_clients_normal"] - info["mem_aof_buffer"],
        "file": info["aof_current_size"],
    }  # fmt: skip


def main() -> int:
    """Measure; return 0 when neither language exceeds four times the answer's size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=ROOT / ".models")
    asked = parser.parse_args()
    rows = {}
    one_by_one = tokens_of(asked.models, CHINESE, chinese())
    kinds = {
        "English": tokens_of(asked.models, ENGLISH, english()),
        "Chinese, two characters a token": ["".join(pair) for pair in batched(one_by_one)],
        "Chinese, one character a token": one_by_one,
    }
    for kind, pieces in kinds.items():
        rows[kind] = measure(list(islice(cycle(pieces), TOKENS)))
        print(f"  {kind}: {rows[kind]}", flush=True)
    result = {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "tokens_per_s": TOKENS_PER_S,
        "rows": rows,
    }
    asked.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    asked.out.with_suffix(".md").write_text(_report(result))
    worst = max(
        rows[kind][f"{what}_ratio"] for kind in list(rows)[:2] for what in ("memory", "file")
    )
    return int(worst > RATIO_MAX)


def _report(result: dict[str, Any]) -> str:
    lines = [
        "# What a long answer costs the store",
        "",
        f"Commit {result['commit']}, {result['machine']}; {TOKENS:,} tokens at {TOKENS_PER_S} a"
        f" second; windows of {limits.TEXT_WINDOW_MIN_S * 1000:g} to"
        f" {limits.TEXT_WINDOW_MAX_S * 1000:g} ms. The answer is there twice: in frames, which"
        " expire, and in the history. Growth is given as a multiple of the answer's UTF-8 size.",
        "",
        "| answer | size | bytes a token | frames | memory | × | append-only file | × |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {language} | {row['answer_bytes'] / 1000:.0f} kB | {row['bytes_per_token']} |"
        f" {row['frames']} | {row['memory_bytes'] / 1000:.0f} kB | {row['memory_ratio']} |"
        f" {row['file_bytes'] / 1000:.0f} kB | {row['file_ratio']} |"
        for language, row in result["rows"].items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
