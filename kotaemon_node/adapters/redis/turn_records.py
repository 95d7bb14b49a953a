"""``ports.turn_records`` in Redis: a record lies beside its session, and goes with it."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain import limits
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.ports.turn_records import TurnRecord

_COMPRESSION_LEVEL = 6  # 5 kB of a turn: 0.15 ms; read almost never, and kept for days


class RedisTurnRecords:
    """``ports.turn_records.TurnRecords``."""

    def __init__(self, store: RedisStore, *, kept_s: int) -> None:
        self._store = store
        self._kept_s = kept_s

    def put(self, record: TurnRecord) -> None:
        """See the port."""
        session, turn_id = record.key.session, record.key.turn_id
        names = SessionKeys.of(session)
        content = zlib.compress(orjson.dumps(dict(record.content)), _COMPRESSION_LEVEL)
        kept = self._store.run(
            "record",
            [names.meta, names.record(turn_id)],
            [record.epoch, record.fence, content, self._kept_s],
        )
        if kept == b"ok":
            self._enter(record)

    def _enter(self, record: TurnRecord) -> None:
        """Have the record found by its trace; in another slot, so apart from it."""
        index = keys.trace(record.key.session.tenant, record.trace_id)
        member = f"{record.key.session.session_id}/{record.key.turn_id}"
        at_ms = int(float(record.content["at"]) * 1000)

        def enter(pipe: Any) -> None:
            pipe.zadd(index, {member: at_ms})
            pipe.zremrangebyrank(index, 0, -limits.AUDIT_TURNS_MAX - 1)
            pipe.expire(index, self._kept_s)

        self._store.pipelined(enter)

    def find(self, tenant: str, trace_id: str) -> Sequence[Mapping[str, Any]]:
        """See the port."""
        [members] = self._store.pipelined(
            lambda pipe: pipe.zrevrange(keys.trace(tenant, trace_id), 0, -1)
        )

        def read(pipe: Any) -> None:
            for member in members:
                session_id, _, turn_id = member.decode().partition("/")
                pipe.hget(SessionKeys.of(SessionKey(tenant, session_id)).record(turn_id), "content")

        found = self._store.pipelined(read) if members else []
        # One that is missing went with its session.
        return [orjson.loads(zlib.decompress(content)) for content in found if content]
