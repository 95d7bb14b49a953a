"""``ports.feedback`` in Redis: a hash beside the session's history."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import orjson
import structlog

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.session_seals import SessionSeals
from kotaemon_node.domain.errors import MasterKeyMissing, Sealed, TurnNotFound
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.feedback import Feedback

_log = structlog.get_logger(__name__)

_FIELD: Final = "feedback"


class RedisFeedback:
    """``ports.feedback.FeedbackStore``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def put(self, key: TurnKey, feedback: Feedback) -> Feedback | None:
        """See the port."""
        names = SessionKeys.of(key.session)
        seals = SessionSeals(self._store.cipher, key.session)
        said = seals.sealed(orjson.dumps(asdict(feedback)), _FIELD, turn=key.turn_id)
        outcome, *before = self._store.run(
            "rate",
            [names.meta, names.seen, names.feedback],
            [key.turn_id, said],
        )
        if outcome != b"ok":
            raise TurnNotFound("the session has no finished turn of this id")
        return _before(before[0], seals, key.turn_id)

    def of(self, key: SessionKey, turn_ids: Sequence[str]) -> Mapping[str, Feedback]:
        """See the port."""
        if not turn_ids:
            return {}

        def read(pipe: Any) -> None:
            pipe.hmget(SessionKeys.of(key).feedback, *turn_ids)

        [rows] = self._store.pipelined(read)
        seals = SessionSeals(self._store.cipher, key)
        found = [
            (turn_id, _read(row, seals, turn_id))
            for turn_id, row in zip(turn_ids, rows, strict=True)
        ]
        return {turn_id: said for turn_id, said in found if said is not None}


def _before(stored: bytes, seals: SessionSeals, turn_id: str) -> Feedback | None:
    """Return what was said before; the new word is kept already, whether that can be opened or not.

    Raises ``MasterKeyMissing``: sent again to another pod, it is the same word.
    """
    try:
        return _read(stored, seals, turn_id)
    except MasterKeyMissing:
        raise
    except Sealed as error:
        _log.warning("feedback_sealed", turn_id=turn_id, reason=str(error))
        return None


def _read(stored: bytes | None, seals: SessionSeals, turn_id: str) -> Feedback | None:
    said = seals.opened(stored or b"", _FIELD, turn=turn_id)
    return Feedback(**orjson.loads(said)) if said else None
