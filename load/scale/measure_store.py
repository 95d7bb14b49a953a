"""What single steps of the pods' loops cost Redis: its own computing, by the product's adapters."""

from collections.abc import Callable
from typing import Any

from kotaemon_node.adapters.redis import RedisPresence, RedisSessionStore, connect
from kotaemon_node.adapters.redis.keys import SessionKeys, running
from kotaemon_node.adapters.redis.later import RedisLater
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain import limits
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.knowledge import PodReport
from kotaemon_node.ports.later import FOLLOW_UP, RECONCILE, SLOW_CALL, WEBHOOK
from load.scale.seen import Usage, client_of
from tests.redis_server import RedisServer

POLLED = dict.fromkeys((RECONCILE, FOLLOW_UP, SLOW_CALL, WEBHOOK), 4)
"""The kinds of delayed jobs that a pod looks for, and how many it has room for."""
_ROWS = 25
_ENTRIES = 800
_TTL_S = 600.0
_ROUNDS = 5


def report_of(name: str) -> PodReport:
    """Return a row of the size that a pod of the sample shop has."""
    return PodReport(
        name=name,
        incarnation=name,
        address="10.0.0.1:8000",
        pid=1,
        version="0.1.0",
        settings="0" * 16,
        started_at=1_700_000_000.0,
        ready=True,
        able=True,
        store=True,
        vector_store="",
        reasons=[],
        running_turns=3,
        taken_over=0,
        generations={"default": {"generation": 7, "digest": "0" * 64, "since": 1_700_000_000.0}},
        refused={},
        behind={},
        plugins={},
    )


def measured() -> dict[str, float]:
    """Return the costs, µs of Redis's computing or bytes, of one of each."""
    server = RedisServer(options=())
    server.start()
    try:
        return _steps(server)
    finally:
        server.remove()


def _steps(server: RedisServer) -> dict[str, float]:
    store, client = connect(server.url), client_of(server.url)
    presence = RedisPresence(store, clock=SystemClock())
    sessions = RedisSessionStore(store, ttl_s=3600, idle_s=1800)
    each = _each(client)
    one = report_of("pod-0")
    steps = {"beat": each(lambda: presence.beat(one, ttl_s=_TTL_S), 500)}
    steps["piped"] = _share(each(lambda: _pings(client, 9), 300), each(client.ping, 300), 8)
    table_1 = each(presence.pods, 400)
    for number in range(1, _ROWS + 1):
        presence.beat(report_of(f"pod-{number}"), ttl_s=_TTL_S)
    table = each(presence.pods, 200)
    steps["row"] = _share(table, table_1, _ROWS)
    steps["table"] = {name: table_1[name] - steps["row"][name] for name in table_1}
    steps["owner"] = each(lambda: presence.pod("pod-1"), 400)
    empty = each(lambda: sessions.orphans(limit=limits.SWEEP_TURNS_MAX * 4), 200)
    steps["sweep_shard"] = {name: it / limits.RUNNING_SHARDS for name, it in empty.items()}
    for number in range(_ENTRIES):
        put_running(client, number, owner="pod-1")
    full = each(lambda: sessions.orphans(limit=limits.SWEEP_TURNS_MAX * 4), 20)
    read = len(sessions.orphans(limit=limits.SWEEP_TURNS_MAX * 4))
    steps["entry"] = _share(full, empty, read)
    later = RedisLater(store)
    steps["later_poll"] = each(lambda: later.take(POLLED, holder="pod-0", lease_s=20.0), 200)
    steps["later_count"] = each(lambda: later.counts(sorted(POLLED)), 100)
    return {"command_us": steps["piped"]["cpu_us"]} | {
        f"{step}_{name}": max(0.0, value)
        for step, row in steps.items()
        for name, value in row.items()
    }


def _pings(client: Any, number: int) -> None:
    with client.pipeline(transaction=False) as pipe:
        for _ in range(number):
            pipe.ping()
        pipe.execute()


def put_running(client: Any, number: int, *, owner: str) -> None:
    """Put a turn where a sweep finds it, as it is while a pod executes it."""
    key = TurnKey(SessionKey("default", f"s{number}"), "t")
    names, (shard, member) = SessionKeys.of(key.session), running(key)
    now_s, _ = client.time()
    client.zadd(shard, {member: now_s * 1000})
    # As if it went on well for as long as anybody measures.
    row = {"state": "running", "owner": owner, "progress_ms": str((now_s + 3600) * 1000)}
    client.hset(names.turn(key.turn_id), mapping=row)
    client.hset(names.seen, mapping={key.turn_id: "0" * 32})
    client.hset(names.meta, mapping={"running": key.turn_id, "epoch": "e", "version": "3"})


def _each(client: Any) -> Callable[[Callable[[], Any], int], dict[str, float]]:
    def each(act: Callable[[], Any], times: int) -> dict[str, float]:
        """Return the round in which it computed least: others on its core add, and never take."""
        act()
        rounds = []
        for _ in range(_ROUNDS):
            before = Usage.of(client)
            for _ in range(times):
                act()
            rounds.append((Usage.of(client) - before).per(times))
        return min(rounds, key=lambda it: it["cpu_us"])

    return each


def _share(many: dict[str, float], few: dict[str, float], number: int) -> dict[str, float]:
    return {name: (many[name] - few[name]) / number for name in many}
