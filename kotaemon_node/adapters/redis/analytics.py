"""``ports.analytics`` in Redis: a hash of counters for each tenant and day."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.question_keys import CountKeys
from kotaemon_node.domain import limits
from kotaemon_node.ports.analytics import Day, Tally

_DAY_S: Final = 86_400


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
        self._store.run(
            "tally",
            # By the hour of what is counted, not of the counting: a repeat looks at the same place.
            [keys.day, keys.asked, keys.unanswered, keys.counted(f"{tally.at:%Y%m%d%H}")],
            [
                hashlib.sha256(tally.once.encode()).digest()[:8],
                limits.ANALYTICS_COUNTED_S,
                limits.ANALYTICS_DAYS_KEPT * _DAY_S,
                limits.ANALYTICS_QUESTIONS_MAX,
                tally.question,
                int(tally.unanswered),
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

        replies = self._store.pipelined(read) if days else []
        parts = zip(replies[::3], replies[1::3], replies[2::3], strict=True)
        return [
            Day(day, _by_profile(counts), _questions(asked), _questions(unanswered))
            for day, (counts, asked, unanswered) in zip(days, parts, strict=True)
        ]


def _by_profile(row: Mapping[bytes, bytes]) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for field, value in row.items():
        profile, _, name = field.decode().partition(":")
        found.setdefault(profile, {})[name] = int(value)
    return found


def _questions(pairs: Sequence[tuple[bytes, float]]) -> Mapping[str, int]:
    return {question.decode(): int(asked) for question, asked in pairs}
