"""The index of running turns: what the sweep looks through, and which events are not sent yet."""

from collections.abc import Sequence
from typing import Any

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.domain import limits
from kotaemon_node.domain.session import TurnKey
from kotaemon_node.ports.sessions import ALL_SHARDS, Orphan

_UNSENT_KEPT_S = 4 * int(limits.TURN_LOG_UNSENT_MAX_S)
"""Should only pods remain that do not know of turns set aside: an hour after the last of them."""


class RunningTurns:
    """Sorted sets of turns by the time they were last asked for, in shards. See ADR 0006.

    A turn whose events no bus takes is set aside, in a set of its own beside each shard: thousands
    of them must not hide the one whose owner died. It is written there before it leaves the other;
    who reads takes both for one. Pods of versions before read only the first, and leave the second
    to those that know it.
    """

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def enter(self, key: TurnKey) -> int:
        """Put the turn in, before it is claimed; return the time (ms) of its entry."""
        shard, member = keys.running(key)
        return int(self._store.run("enter", [shard], [member]))

    def leave(self, key: TurnKey) -> None:
        """Take the turn out: its events are sent."""
        with store_errors():
            pipe = self._store.client.pipeline(transaction=False)
            for shard, member in (keys.running(key), keys.unsent(key)):
                pipe.zrem(shard, member)
            pipe.execute()

    def set_aside(self, key: TurnKey) -> None:
        """See ``SessionStore.set_aside``."""
        shard, member = keys.running(key)
        aside, _ = keys.unsent(key)
        with store_errors():
            entered_ms = self._store.client.zscore(shard, member)
            if entered_ms is None:
                return  # its events were sent meanwhile, or it was set aside
            pipe = self._store.client.pipeline(transaction=False)
            pipe.zadd(aside, {member: entered_ms})
            pipe.expire(aside, _UNSENT_KEPT_S)
            pipe.execute()
            # Should it have been settled meanwhile: its events are told once more.
            self._store.client.zrem(shard, member)

    def forget(self, key: TurnKey, *, older_than_s: float) -> None:
        """See ``SessionStore.forget``."""
        for shard, member in (keys.running(key), keys.unsent(key)):
            self._store.run("forget", [shard], [member, int(older_than_s * 1000)])

    def orphans(self, *, limit: int, shards: Sequence[int] = ALL_SHARDS) -> Sequence[Orphan]:
        """See ``SessionStore.orphans``."""
        # Who stands in both, because a pod died between, is as in the index: that is read last.
        places = [place(it) for it in shards for place in (keys.unsent_shard, keys.running_shard)]

        def fill(pipe: Any) -> None:
            pipe.time()
            for name in places:
                # The oldest need it most; but many long turns that are well must not hide the rest.
                pipe.zrange(name, 0, (limit + 1) // 2 - 1, withscores=True)
                pipe.zrandmember(name, limit // 2, withscores=True)

        (seconds, micros), *parts = self._store.pipelined(fill)
        now_ms = seconds * 1000 + micros // 1000
        found: dict[bytes, tuple[float, bool]] = {}
        for number, (oldest, some) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
            # ``some`` is flat: member, score, member, …
            drawn = zip(some[::2], some[1::2], strict=True)
            found |= {it: (float(score), number % 2 == 0) for it, score in (*oldest, *drawn)}
        entries = [
            (keys.running_member(member.decode()), now_ms - score, aside)
            for member, (score, aside) in sorted(found.items(), key=lambda entry: entry[1][0])
        ]

        def fill_turns(pipe: Any) -> None:
            for key, *_ in entries:
                names = SessionKeys.of(key.session)
                pipe.hmget(names.turn(key.turn_id), "state", "owner", "progress_ms")
                pipe.hget(names.seen, key.turn_id)
                pipe.hget(names.meta, "running")

        replies = self._store.pipelined(fill_turns) if entries else []
        held = zip(replies[::3], replies[1::3], replies[2::3], strict=True)
        return [
            Orphan(
                key=key,
                age_s=age_ms / 1000,
                state=(state or b"").decode(),
                owner=(owner or b"").decode(),
                committed=bool(seen) and b":" in seen,
                blocked=bool(running),
                silent_s=(now_ms - int(progress_ms)) / 1000 if progress_ms else 0.0,
                aside=aside,
            )
            for (key, age_ms, aside), ((state, owner, progress_ms), seen, running) in zip(
                entries, held, strict=True
            )
        ]
