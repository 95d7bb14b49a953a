"""The index of running turns: what the sweep looks through, and which events are not sent yet."""

from collections.abc import Sequence
from typing import Any

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore, store_errors
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain.session import TurnKey
from kotaemon_node.ports.sessions import ALL_SHARDS, Orphan


class RunningTurns:
    """Sorted sets of turns by the time they were last asked for, in shards. See ADR 0006."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def enter(self, key: TurnKey) -> int:
        """Put the turn in, before it is claimed; return the time (ms) of its entry."""
        shard, member = keys.running(key)
        return int(self._store.run("enter", [shard], [member]))

    def leave(self, key: TurnKey) -> None:
        """Take the turn out: its events are sent."""
        shard, member = keys.running(key)
        with store_errors():
            self._store.client.zrem(shard, member)

    def forget(self, key: TurnKey, *, older_than_s: float) -> None:
        """See ``SessionStore.forget``."""
        shard, member = keys.running(key)
        self._store.run("forget", [shard], [member, int(older_than_s * 1000)])

    def orphans(self, *, limit: int, shards: Sequence[int] = ALL_SHARDS) -> Sequence[Orphan]:
        """See ``SessionStore.orphans``."""

        def fill(pipe: Any) -> None:
            pipe.time()
            for shard in shards:
                name = keys.running_shard(shard)
                # The oldest need it most; but many long turns that are well must not hide the rest.
                pipe.zrange(name, 0, (limit + 1) // 2 - 1, withscores=True)
                pipe.zrandmember(name, limit // 2, withscores=True)

        (seconds, micros), *parts = self._store.pipelined(fill)
        now_ms = seconds * 1000 + micros // 1000
        found = dict(entry for oldest in parts[::2] for entry in oldest)
        for some in parts[1::2]:  # flat: member, score, member, …
            found |= {
                member: float(score) for member, score in zip(some[::2], some[1::2], strict=True)
            }
        entries = [
            (keys.running_member(member.decode()), now_ms - score)
            for member, score in sorted(found.items(), key=lambda entry: entry[1])
        ]

        def fill_turns(pipe: Any) -> None:
            for key, _ in entries:
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
            )
            for (key, age_ms), ((state, owner, progress_ms), seen, running) in zip(
                entries, held, strict=True
            )
        ]
