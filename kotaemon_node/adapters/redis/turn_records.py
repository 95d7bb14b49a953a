"""``ports.turn_records`` in Redis: a record lies beside its session, and goes with it."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import structlog

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.session_seals import SessionSeals
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import MasterKeyMissing, Sealed
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.turn_records import TurnRecord

_log = structlog.get_logger(__name__)

_FIELD: Final = "record"
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
        packed = zlib.compress(orjson.dumps(dict(record.content)), _COMPRESSION_LEVEL)
        content = SessionSeals(self._store.cipher, session).sealed(packed, _FIELD, turn=turn_id)
        # In another slot, so beside the script. An entry without a record says nothing: where the
        # script refuses, the turn is another owner's, who makes the same one.
        index = keys.trace(session.tenant, record.trace_id)
        at_ms = int(float(record.content["at"]) * 1000)

        def enter(pipe: Any) -> None:
            pipe.zadd(index, {f"{session.session_id}/{turn_id}": at_ms})
            pipe.zremrangebyrank(index, 0, -limits.AUDIT_TURNS_MAX - 1)
            pipe.expire(index, self._kept_s)

        self._store.run_before(
            "record",
            [names.meta, names.record(turn_id)],
            [record.epoch, record.fence, content, self._kept_s],
            enter,
        )

    def find(self, tenant: str, trace_id: str) -> Sequence[Mapping[str, Any]]:
        """See the port."""
        [members] = self._store.pipelined(
            lambda pipe: pipe.zrevrange(keys.trace(tenant, trace_id), 0, -1)
        )

        turns = [_turn_of(tenant, member) for member in members]

        def read(pipe: Any) -> None:
            for turn in turns:
                pipe.hget(SessionKeys.of(turn.session).record(turn.turn_id), "content")

        found = self._store.pipelined(read) if turns else []
        # One that is missing went with its session.
        there = [(turn, stored) for turn, stored in zip(turns, found, strict=True) if stored]
        return self._opened(there)

    def _opened(self, there: Sequence[tuple[TurnKey, bytes]]) -> Sequence[Mapping[str, Any]]:
        """Return records; one that nobody opens any more does not hide the others of its trace."""
        records, problem = [], None
        for turn, stored in there:
            try:
                records.append(self._read(turn, stored))
            except MasterKeyMissing:
                raise  # another pod shows it
            except Sealed as error:
                _log.warning("record_sealed", turn_id=turn.turn_id, reason=str(error))
                problem = error
        if problem is not None and not records:
            raise problem
        return records

    def _read(self, turn: TurnKey, stored: bytes) -> Mapping[str, Any]:
        seals = SessionSeals(self._store.cipher, turn.session)
        content = zlib.decompress(seals.opened(stored, _FIELD, turn=turn.turn_id))
        record: Mapping[str, Any] = orjson.loads(content)
        return record


def _turn_of(tenant: str, member: bytes) -> TurnKey:
    session_id, _, turn_id = member.decode().partition("/")
    return TurnKey(SessionKey(tenant, session_id), turn_id)
