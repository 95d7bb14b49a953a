"""What is used, counted in Redis: one script checks and counts; see ``lua/use.lua``.

In any sixty seconds no more than a limit: a sliding window of one-second counters, as ring of 61.
It stands between the two that are usual, a log of every request, which is exact and grows with the
limit, and two counters of a minute each, which is small and estimates (Cloudflare, "How we built
rate limiting capable of scaling to millions of domains"); GCRA (ITU-T I.371) is smaller still, but
lets in twice the limit within a minute where a whole minute's burst is allowed.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final, Literal

from kotaemon_node.adapters.redis import use_keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.adapters.redis.use_keys import UseKeys
from kotaemon_node.domain.quotas import COST_UNIT, Quota
from kotaemon_node.ports.use import (
    LIMIT_NAMES,
    REPEATS_MAX,
    RESERVED_S,
    SETTLED_S,
    STREAM_LEASE_S,
    Left,
    Level,
    OpenStream,
    Scope,
    User,
    Verdict,
    Wanted,
)

_SCOPES: Final[tuple[Scope, ...]] = ("principal", "tenant")
_COST: Final = LIMIT_NAMES.index("cost")
_NOTHING: Final = Wanted()


class RedisUse:
    """``ports.use.UseCounts``."""

    def __init__(self, store: RedisStore, *, stream_lease_s: float = STREAM_LEASE_S) -> None:
        self._store = store
        self._lease_ms = _ms(stream_lease_s)

    def take(self, user: User, wanted: Wanted) -> Verdict:
        """See the port."""
        return self._run("take", user, wanted)

    def look(self, user: User) -> Verdict:
        """See the port."""
        return self._run("look", user, _NOTHING)

    def settle(
        self, tenant: str, turn: str, *, tokens: int | None, cost: float | None, attempt: int = 0
    ) -> bool:
        """See the port."""
        took = ("" if tokens is None else tokens, "" if cost is None else _micro(cost))
        return self._end("settle", tenant, turn, attempt, *took)

    def tell(self, tenant: str, turn: str, left: Left) -> bool:
        """See the port."""
        took, lost = (left.tokens, _micro(left.cost)), (left.lost_tokens, _micro(left.lost_cost))
        return self._end("tell", tenant, turn, left.attempt, *took, *lost)

    def forget(self, tenant: str, turn: str) -> bool:
        """See the port."""
        return self._end("forget", tenant, turn)

    def keep(self, streams: Collection[OpenStream]) -> None:
        """See the port."""
        of_user: dict[tuple[str, str], list[str]] = defaultdict(list)
        for one in streams:
            of_user[one.tenant, one.subject].append(one.stream)
        if not of_user:
            return
        calls = [
            (_stream_keys(*user), [self._lease_ms, *open_now]) for user, open_now in of_user.items()
        ]
        for reply in self._store.run_many("use_streams", calls):
            if isinstance(reply, Exception):
                raise reply

    def end(self, stream: OpenStream) -> None:
        """See the port."""

        def fill(pipe: Any) -> None:
            for key in _stream_keys(stream.tenant, stream.subject):
                pipe.zrem(key, stream.stream)

        self._store.pipelined(fill)

    def _end(
        self,
        asked: Literal["settle", "tell", "forget"],
        tenant: str,
        turn: str,
        *told: int | str,
    ) -> bool:
        digest = _digest(turn)
        with store_errors():
            subject = self._store.client.hget(use_keys.turn(tenant, digest), "of")
        if subject is None:
            return False
        arguments = [asked, "", 0, 1, digest, _ms(SETTLED_S), 0, "", *told]
        return bool(self._store.run("use", _keys(tenant, subject.decode(), digest), arguments))

    def _run(self, asked: Literal["take", "look"], user: User, wanted: Wanted) -> Verdict:
        digest = _digest(wanted.turn)
        reply = self._store.run(
            "use",
            _keys(user.tenant, user.subject, digest),
            [
                asked,
                wanted.stream,
                self._lease_ms,
                (2 if wanted.comes_back else 1) if wanted.turn else 0,
                digest,
                _ms(RESERVED_S),
                REPEATS_MAX,
                user.subject,
                wanted.requests,
                wanted.tokens,
                # Less than can be counted is not nothing: a limit that is reached refuses it.
                max(_micro(wanted.cost), int(wanted.cost > 0)),
                wanted.upload_bytes,
                *_limits(user.own),
                *_limits(user.all),
            ],
        )
        return _verdict(user, [int(number) for number in reply])


def _keys(tenant: str, subject: str, digest: str) -> list[str]:
    found: list[str] = []
    for one in (UseKeys.of(tenant, subject), UseKeys.of(tenant, None)):
        found += [one.used, one.streams, one.held]
    return [*found, use_keys.turn(tenant, digest)]


def _stream_keys(tenant: str, subject: str) -> list[str]:
    return [UseKeys.of(tenant, subject).streams, UseKeys.of(tenant, None).streams]


def _limits(quota: Quota) -> list[int]:
    whole = [-1 if value is None else value for value in quota.values]
    if quota.cost_per_day is not None:
        whole[_COST] = _micro(quota.cost_per_day)
    return [int(value) for value in whole]


def _verdict(user: User, reply: Sequence[int]) -> Verdict:
    outcome, place, wait_ms, *rows = reply
    levels: list[Level | None] = []
    for number, scope in enumerate(_SCOPES):
        quota = user.own if scope == "principal" else user.all
        for at, (name, limit) in enumerate(zip(LIMIT_NAMES, quota.values, strict=True)):
            left, reset_ms = rows[10 * number + 2 * at : 10 * number + 2 * at + 2]
            if limit is None:
                levels.append(None)
                continue
            whole = left / COST_UNIT if name == "cost" else float(left)
            levels.append(Level(scope, name, limit, whole, reset_ms / 1000))
    return Verdict(
        levels=tuple(level for level in levels if level is not None),
        refused=levels[place - 1] if place else None,
        wait_s=wait_ms / 1000,
        known=outcome == 2,
    )


def _digest(turn: str) -> str:
    return hashlib.sha256(turn.encode()).hexdigest()[:32]


def _micro(cost: float) -> int:
    return round(cost * COST_UNIT)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
