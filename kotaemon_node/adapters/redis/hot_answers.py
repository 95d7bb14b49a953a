"""Hot answers in Redis: an answer, or the mark of who makes it, under one key; who asked, in bits.

Answers share slots of a Cluster with the questions that were asked, in ``HOT_SHARES`` shares by the
question, so that one script sees both. Nothing of it is confirmed as durable: it can be made again.
"""

import hashlib
import zlib
from typing import Any, Final

import orjson
import structlog

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.hot_keys import HotKeys
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Sealed
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.cipher import SealedPlace
from kotaemon_node.ports.hot_answers import AnswerName, Found, HotAnswer

_log = structlog.get_logger(__name__)

_AUTHOR: Final = b"L"
_ANSWER: Final = b"A"
# Seven bits of 2^15 for each question: one of a thousand strangers is taken for asked before when
# 1,800 questions a share were asked in an hour, one of a hundred at 3,400 (870,000 in all).
_BITS: Final = 7


class RedisHotAnswers:
    """``ports.hot_answers.HotAnswers``."""

    def __init__(self, store: RedisStore, *, ttl_s: int) -> None:
        """``ttl_s``: how long an answer is kept."""
        self._store = store
        self._ttl_ms = ttl_s * 1000

    def look(self, name: AnswerName, asker: TurnKey, *, instead_of: TurnKey | None = None) -> Found:
        """See the port."""
        name = self.stored_as(name)
        keys = HotKeys.of(name)
        arguments: list[Any] = [
            _mark(asker),
            int(limits.HOT_AUTHOR_S * 1000),
            _mark(instead_of) if instead_of else b"",
            int(limits.HOT_ASKED_S * 1000),
            *_bits(name.question),
        ]
        found = self._store.run("hot_look", [keys.answer, keys.asked, keys.before], arguments)
        if not found:
            return Found()
        if found.startswith(_AUTHOR):
            return Found(author=_author(found, asker.session.tenant))
        answer = self._read(name, found)
        # One that cannot be read was written by other programs under the same name: make it anew.
        return Found(answer=answer) if answer else Found()

    def get(self, name: AnswerName) -> HotAnswer | None:
        """See the port."""
        name = self.stored_as(name)
        key = HotKeys.of(name).answer
        (found,) = self._store.pipelined(lambda pipe: pipe.get(key))
        return self._read(name, found) if found and found.startswith(_ANSWER) else None

    def keep(self, name: AnswerName, asker: TurnKey, answer: HotAnswer) -> bool:
        """See the port."""
        name = self.stored_as(name)
        content = zlib.compress(orjson.dumps(answer.to_json()), 1)
        packed = _ANSWER + self._store.cipher.seal(content, _place(name))
        if len(packed) > limits.HOT_ANSWER_BYTES_MAX:
            packed = b""
        return bool(self._put(name, asker, packed))

    def give_up(self, name: AnswerName, asker: TurnKey) -> None:
        """See the port."""
        self._put(self.stored_as(name), asker, b"")

    def _put(self, name: AnswerName, asker: TurnKey, packed: bytes) -> Any:
        keys = HotKeys.of(name)
        share_max = limits.HOT_ANSWERS_BYTES_MAX // limits.HOT_SHARES
        arguments = [_mark(asker), packed, self._ttl_ms, share_max]
        return self._store.run("hot_keep", [keys.answer, keys.kept], arguments)

    def stored_as(self, name: AnswerName) -> AnswerName:
        """Return the name under which the store knows an answer: no question is guessed by it.

        Digests of the engine are hex digits of what is asked; where nothing is sealed they stay.
        """
        cipher, tenant = self._store.cipher, name.tenant
        plain = name.question.encode()
        question = cipher.digest(plain, tenant)
        if question == hashlib.sha256(plain).digest():
            return name
        return AnswerName(tenant, question.hex(), cipher.digest(name.digest.encode(), tenant).hex())

    def _read(self, name: AnswerName, packed: bytes) -> HotAnswer | None:
        try:
            content = self._store.cipher.open(packed[len(_ANSWER) :], _place(name))
            return HotAnswer.from_json(orjson.loads(zlib.decompress(content)))
        except (Sealed, zlib.error, ValueError, KeyError, TypeError) as error:
            _log.warning("hot_answer_unreadable", reason=type(error).__name__)
            return None


def _place(name: AnswerName) -> SealedPlace:
    return SealedPlace(name.tenant, f"hot answer {name.digest}")


def _bits(question: str) -> list[int]:
    """Return the bits that stand for a question; its first two digits chose the share."""
    places = range(2, 2 + 4 * _BITS, 4)
    return [int(question[at : at + 4], 16) % limits.HOT_ASKED_BITS for at in places]


def _mark(turn: TurnKey) -> bytes:
    return _AUTHOR + orjson.dumps([turn.session.session_id, turn.turn_id])


def _author(mark: bytes, tenant: str) -> TurnKey:
    session_id, turn_id = orjson.loads(mark[len(_AUTHOR) :])
    return TurnKey(SessionKey(tenant, session_id), turn_id)
