"""``ports.analytics`` in Redis: a hash of counters for each tenant and day."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import structlog

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.question_keys import CountKeys
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import MasterKeyMissing, Sealed
from kotaemon_node.ports.analytics import Day, Tally
from kotaemon_node.ports.cipher import SealedPlace

_log = structlog.get_logger(__name__)

_DAY_S: Final = 86_400
_DIGEST: Final = b"\xf5"
"""What digests begin with; no question does."""


class RedisAnalytics:
    """``ports.analytics.Analytics``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def add(self, tally: Tally) -> None:
        """See the port."""
        keys = CountKeys.of(tally.tenant, tally.at.date())
        counts = [
            part
            for name, number in tally.counts.items()
            if number
            for part in (f"{tally.profile}:{name}", number)
        ]
        member, words = self._known_as(tally.tenant, tally.question)
        self._store.run(
            "tally",
            # By the hour of what is counted, not of the counting: a repeat looks at the same place.
            [
                keys.day,
                keys.asked,
                keys.unanswered,
                keys.counted(f"{tally.at:%Y%m%d%H}"),
                keys.words,
            ],
            [
                hashlib.sha256(tally.once.encode()).digest()[:8],
                limits.ANALYTICS_COUNTED_S,
                limits.ANALYTICS_DAYS_KEPT * _DAY_S,
                limits.ANALYTICS_QUESTIONS_MAX,
                member,
                int(tally.unanswered),
                words,
                *counts,
            ],
        )

    def days(self, tenant: str, days: Sequence[date]) -> Sequence[Day]:
        """See the port."""
        last = limits.ANALYTICS_QUESTIONS_MAX - 1

        def read(pipe: Any) -> None:
            for day in days:
                keys = CountKeys.of(tenant, day)
                pipe.hgetall(keys.day)
                pipe.zrevrange(keys.asked, 0, last, withscores=True)
                pipe.zrevrange(keys.unanswered, 0, last, withscores=True)
                pipe.hgetall(keys.words)

        replies = self._store.pipelined(read) if days else []
        parts = zip(*(replies[at::4] for at in range(4)), strict=True)
        found = []
        for day, (counts, asked, unanswered, words) in zip(days, parts, strict=True):
            said = {member: self._opened(tenant, member, it) for member, it in words.items()}
            rows = (
                self._questions(tenant, asked, said),
                self._questions(tenant, unanswered, said),
            )
            found.append(Day(day, _by_profile(counts), *rows))
        return found

    def _questions(
        self, tenant: str, pairs: Sequence[tuple[bytes, float]], said: Mapping[bytes, str]
    ) -> Mapping[str, int]:
        """Return how often each was asked; it may be known by its words and by a digest as well."""
        found: dict[str, int] = {}
        for member, asked in pairs:
            known = member in said or member.startswith(_DIGEST)
            question = said.get(member, "") if known else self._opened(tenant, member, member)
            if question:
                found[question] = found.get(question, 0) + int(asked)
        return found

    def _known_as(self, tenant: str, question: str) -> tuple[bytes, bytes]:
        """Return by what a question is counted, and its words where that does not say them."""
        plain, cipher = question.encode(), self._store.cipher
        if not plain:
            return b"", b""
        member = _DIGEST + cipher.digest(plain, tenant)[:15]
        words = cipher.seal(plain, _place(tenant, member))
        return (plain, b"") if words == plain else (member, words)

    def _opened(self, tenant: str, member: bytes, words: bytes) -> str:
        """Return a question, "" for one that nobody opens any more: it does not hide the others."""
        try:
            return self._store.cipher.open(words, _place(tenant, member)).decode()
        except MasterKeyMissing:
            raise  # another pod shows it
        except Sealed as error:
            _log.warning("question_sealed", tenant=tenant, reason=str(error))
            return ""


def _place(tenant: str, member: bytes) -> SealedPlace:
    return SealedPlace(tenant, f"question {member.hex()}")


def _by_profile(row: Mapping[bytes, bytes]) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for field, value in row.items():
        profile, _, name = field.decode().partition(":")
        found.setdefault(profile, {})[name] = int(value)
    return found
