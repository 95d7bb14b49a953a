"""What a long history costs a turn, in time and in Redis: goal, at 1,000 turns as at 10."""

import json
import zlib
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

import redis

from kotaemon_node.adapters.redis import RedisSessionStore, connect
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain.session import SessionKey, Turn
from load.bench.history import ANYBODY, ARMS, SESSIONS, give, histories, session_of
from load.bench.speed.arms import Context, Figures, Measured, at_most
from load.bench.speed.corpus import questions
from load.bench.speed.rounds import Sample, in_rounds
from load.bench.speed.servers import Served, Stage
from load.bench.speed.throughput import Feed, asked_of
from load.bench.speed.yardsticks import naive
from tests.redis_server import RedisServer

_GROWTH_MAX: Final = 1.1
_MEMORY_MAX: Final = 1.3
_ANSWERS: Final = 10
"""Different turns that a history is made of."""
_TALK: Final = "talk-0-0"


def run(context: Context) -> Measured:
    """Measure; histories are made of turns that the worker answered."""
    knowledge = context.knowledge()
    feed = Feed(knowledge.passages)
    with Stage(context.cores, models=context.models) as stage:
        server = stage.redis()
        worker = stage.pod(server.url, knowledge)
        plain_server = stage.redis()
        plain = naive(stage, knowledge, encoder="int8", store=plain_server)
        turns = _talk(worker, server, context, feed)
        give(connect(server.url), histories(turns))
        _give_plain(plain_server, turns)

        def asked(served: Served, arm: str) -> Callable[[int], Sample]:
            sessions = [session_of(arm, number) for number in range(SESSIONS)]
            return lambda number: asked_of([served], context, feed, clients=1, sessions=sessions)

        arms = {f"worker, {arm} turns": asked(worker, arm) for arm in ARMS}
        arms |= {f"naive, {arm} turns": asked(plain, arm) for arm in ("10", "1000")}
        samples = in_rounds(arms, rounds=context.rounds, seed=context.seed, tell=context.tell)
        memory = _memory(server)
    figures: Figures = {
        "history_1000_over_10": samples.ratio("worker, 1000 turns", "worker, 10 turns", "p50_ms"),
        "history_1000_over_10_cpu": samples.ratio(
            "worker, 10 turns", "worker, 1000 turns", "per_cpu_s"
        ),
        "history_a_over_a": samples.ratio("worker, 10 again turns", "worker, 10 turns", "p50_ms"),
        "naive_history_1000_over_10": samples.ratio(
            "naive, 1000 turns", "naive, 10 turns", "p50_ms"
        ),
        **memory,
    }
    return Measured(
        samples,
        figures,
        (
            at_most("history_1000_over_10", _GROWTH_MAX),
            at_most("redis_turn_over_json", _MEMORY_MAX),
        ),
        drawn=(("One client's turn, median", "p50_ms", "ms", tuple(arms)),),
        notes=(
            "The naive design has our encoder here, so that the history alone makes it grow.",
            "`redis_turn_over_json`: what Redis holds of a session of 1,000 turns (MEMORY USAGE of"
            " its lasting keys) over the compact JSON of these turns. `redis_turn_all_over_json`:"
            " all keys of a session of ten, with the frames, which go after ten minutes, and the"
            " audit records.",
        ),
    )


def _talk(worker: Served, server: RedisServer, context: Context, feed: Feed) -> Sequence[Turn]:
    """Have the worker answer some questions in one session; return its turns."""
    asked = list(islice(questions(context.passages, first=9 * context.passages), _ANSWERS))
    sessions = [_TALK] * _ANSWERS
    asked_of([worker], context, feed, clients=1, repeated=asked, sessions=sessions)
    reader = RedisSessionStore(connect(server.url), ttl_s=3600, idle_s=1800)
    view = reader.load(SessionKey("default", _TALK), ANYBODY, after_version=0, limit=_ANSWERS)
    return view.turns


def _give_plain(server: RedisServer, turns: Sequence[Turn]) -> None:
    """Give the naive server sessions of the same lengths."""
    with redis.Redis(port=server.port) as client:
        for arm, length in ARMS.items():
            pairs = [turns[number % len(turns)] for number in range(length)]
            history = [{"user": one.message, "bot": one.answer} for one in pairs]
            for number in range(SESSIONS):
                value = json.dumps({"history": history})
                client.set(f"session:{session_of(arm, number)}", value)


def _memory(server: RedisServer) -> dict[str, float]:
    with redis.Redis(port=server.port) as client:
        session = session_of("1000", 0)
        names = SessionKeys.of(SessionKey("default", session)).head()
        lasting = sum(_usage(client, name) for name in names)
        written = _written(client, session)
        talk = [name.decode() for name in client.scan_iter(f"kn:default:{{{_TALK}}}:*", count=1000)]
        everything = sum(_usage(client, name) for name in talk)
        return {
            "redis_turn_over_json": lasting / sum(written),
            "redis_turn_bytes": lasting / len(written),
            "json_turn_bytes": sum(written) / len(written),
            "redis_turn_all_over_json": everything / sum(_written(client, _TALK)),
        }


def _usage(client: "redis.Redis", name: str) -> int:
    found: Any = client.memory_usage(name, samples=0)
    return int(found or 0)


def _written(client: "redis.Redis", session: str) -> list[int]:
    """Return the bytes of each turn's compact JSON."""
    key = SessionKeys.of(SessionKey("default", session)).turns
    rows: Any = client.lrange(key, 0, -1)
    return [len(row if row.startswith(b"{") else zlib.decompress(row)) for row in rows]
