"""``ports.feedback`` in Redis: a hash beside the session's history."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain.errors import TurnNotFound
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.feedback import Feedback


class RedisFeedback:
    """``ports.feedback.FeedbackStore``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def put(self, key: TurnKey, feedback: Feedback) -> Feedback | None:
        """See the port."""
        names = SessionKeys.of(key.session)
        outcome, *before = self._store.run(
            "rate",
            [names.meta, names.seen, names.feedback],
            [key.turn_id, orjson.dumps(asdict(feedback))],
        )
        if outcome != b"ok":
            raise TurnNotFound("the session has no finished turn of this id")
        return _read(before[0])

    def of(self, key: SessionKey, turn_ids: Sequence[str]) -> Mapping[str, Feedback]:
        """See the port."""
        if not turn_ids:
            return {}

        def read(pipe: Any) -> None:
            pipe.hmget(SessionKeys.of(key).feedback, *turn_ids)

        [rows] = self._store.pipelined(read)
        found = zip(turn_ids, map(_read, rows), strict=True)
        return {turn_id: said for turn_id, said in found if said is not None}


def _read(raw: bytes | None) -> Feedback | None:
    return Feedback(**orjson.loads(raw)) if raw else None
