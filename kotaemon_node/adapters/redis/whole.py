"""``ports.backup`` in Redis: goes through all sessions, and puts back what was copied."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from redis.exceptions import RedisError

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.cold import NOT_COPIED, RedisColdSessions, history_rows
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.idle import IdleSessions
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.restoring import put_whole
from kotaemon_node.adapters.redis.session_list import UNLISTED, SessionList
from kotaemon_node.adapters.redis.store_errors import store_error, store_errors
from kotaemon_node.adapters.redis.stored_text import texts_of_flat
from kotaemon_node.adapters.redis.tenants_met import has_sessions_of_others, servers_of
from kotaemon_node.domain.errors import CorruptArtifact, StoreUnavailable
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.domain.session_copy import SessionCopy
from kotaemon_node.ports.backup import Head, PutBack

_SCANNED_AT_ONCE: Final = 500  # keys looked at in one step of Redis: well below a millisecond
_TRIES_MAX: Final = 3
_HEAD: Final = ("epoch", "version", "fence", "active_ms")


class RedisWholeSessions:
    """``ports.backup.WholeSessions`` of one tenant."""

    def __init__(
        self, store: RedisStore, *, tenant: str, ttl_s: int, kept_s: float, indexed: bool
    ) -> None:
        """``ttl_s``: life of a session; ``kept_s``: of its copies; ``indexed``: see ``Archive``."""
        self._store = store
        self._tenant = tenant
        self._ttl_s = ttl_s
        self._kept_s = kept_s
        self._cold = RedisColdSessions(store)
        idle = IdleSessions(store) if indexed else None
        self._list = SessionList(store, ttl_s=int(kept_s), idle=idle)

    def keys(self) -> Iterator[SessionKey]:
        """See the port."""
        for attempt in range(1, _TRIES_MAX + 1):
            try:
                for server in servers_of(self._store):
                    yield from self._scanned(server)
            except RedisError as error:
                # Another server may answer now, where a cursor of the first one means nothing.
                if attempt == _TRIES_MAX:
                    raise store_error(error) from error
            else:
                return

    def _scanned(self, server: Any) -> Iterator[SessionKey]:
        before, after = f"kn:{self._tenant}:{{".encode(), b"}:meta"
        pattern = b"kn:" + self._tenant.encode() + b":{*}:meta"
        for name in server.scan_iter(match=pattern, count=_SCANNED_AT_ONCE):
            if name.startswith(before) and name.endswith(after):
                yield SessionKey(self._tenant, name[len(before) : -len(after)].decode())

    def heads(self, keys: Sequence[SessionKey]) -> Sequence[Head | None]:
        """See the port."""

        def fill(pipe: Any) -> None:
            for key in keys:
                pipe.hmget(SessionKeys.of(key).meta, *_HEAD)

        return [_head(row) for row in self._store.pipelined(fill)] if keys else []

    def copy(self, key: SessionKey) -> SessionCopy | None:
        """See the port."""
        names = SessionKeys.of(key)
        for _ in range(_TRIES_MAX):
            meta, seen, past, said = map(texts_of_flat, self._store.run("whole", names.head(), []))
            if not meta:
                return None
            version = int(meta["version"])
            kept = {name: value for name, value in meta.items() if name not in NOT_COPIED}
            rows = history_rows(self._store, names, version)
            copy = SessionCopy(key, kept, rows, _finished(seen, version), past, said)
            if copy.whole:
                return copy
            # It was deleted, or set back, between the two reads.
        raise CorruptArtifact("the history of a session is not the one of its version and hash")

    def deleted(self, keys: Sequence[SessionKey]) -> Sequence[bool]:
        """See the port."""

        def fill(pipe: Any) -> None:
            for key in keys:
                pipe.get(SessionKeys.of(key).archived)

        return [it in (b"deleted", b"purged") for it in self._store.pipelined(fill)] if keys else []

    def put_back(self, copy: SessionCopy, *, epoch: str) -> PutBack:
        """See the port."""
        match put_whole(self._store, copy, mark_raw=b"", ttl_s=self._ttl_s, epoch=epoch):
            case "ok":
                self._list.note(copy.key)
                return "ok"
            case "told":
                return "ended"
            case _:
                return "there"

    def put_mark(self, copy: SessionCopy) -> PutBack:
        """See the port."""
        match self._cold.mark(copy, kept_s=self._kept_s):
            case "marked":
                shown = () if copy.meta.get(UNLISTED) else (copy.meta["principal"], None)
                with store_errors():
                    for subject in shown:
                        index = keys.sessions_of(copy.key.tenant, subject)
                        self._store.client.zadd(index, {copy.key.session_id: copy.name.active_ms})
                        self._store.client.expire(index, int(self._kept_s))
                return "ok"
            case "ended":
                return "ended"
            case _:
                return "there"

    def access(self) -> bytes | None:
        """See the port."""

        def fill(pipe: Any) -> None:
            pipe.hgetall(keys.API_KEYS)
            pipe.get(keys.SESSION_SECRET)

        rows, secret = self._store.pipelined(fill)
        own = _texts(rows)
        if self._tenant != DEFAULT_TENANT:
            own = {it: row for it, row in own.items() if _tenant_of(row) == self._tenant}
        if not own and secret is None:
            return None
        said = {
            "keys": own,
            "session_secret": (secret or b"").decode(),
        }
        return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)

    def put_access(self, access: bytes, *, is_empty: bool) -> Sequence[str]:
        """See the port."""
        said = orjson.loads(access)
        secret = said["session_secret"].encode()
        differs: list[str] = []
        # The secret is every tenant's: where another has sessions, their ids go by the present one.
        is_empty = is_empty and not has_sessions_of_others(self._store, self._tenant)
        with store_errors():
            client = self._store.client
            here = _texts(client.hgetall(keys.API_KEYS))
            kept: Mapping[str, str] = said["keys"]
            back = self._keys_back(kept, here)
            if back:
                client.hset(keys.API_KEYS, mapping=back)
            there = {**here, **back}
            if any(
                it not in there or _tenant_of(there[it]) != _tenant_of(row)
                for it, row in kept.items()
            ):
                differs.append("the list of API keys (some of the backup are not in it)")
            # In any case: a restore that was killed before this left keys that no pod has read.
            client.set(keys.API_KEYS_STAMP, secrets.token_hex(8))
            if secret:
                client.set(keys.SESSION_SECRET, secret, nx=not is_empty)
            if secret and client.get(keys.SESSION_SECRET) != secret:
                differs.append("the secret behind ids of sessions (SESSION_SECRET_FILE)")
        return differs

    def _keys_back(self, kept: Mapping[str, str], here: Mapping[str, str]) -> Mapping[str, str]:
        """Return which keys of a backup come back; none of a tenant that has some here.

        Others' keys come with the backups of those tenants; only that of the cluster's own tenant,
        into a store that has none at all, brings everybody's. A backup that somebody wrote so is
        no way to another tenant's door, nor does a key that is here ever give way.
        """
        if not here and self._tenant == DEFAULT_TENANT:
            return kept
        if self._tenant in {_tenant_of(row) for row in here.values()}:
            return {}
        own = {it: row for it, row in kept.items() if _tenant_of(row) == self._tenant}
        return {it: row for it, row in own.items() if it not in here}

    def known(self, key: SessionKey) -> bool:
        """See the port."""
        names = SessionKeys.of(key)

        def fill(pipe: Any) -> None:
            pipe.exists(names.meta)
            pipe.exists(names.archived)

        return any(self._store.pipelined(fill))


def require_empty(store: RedisStore) -> None:
    """Raise ``StoreUnavailable`` unless the store holds nothing at all."""
    with store_errors():
        if store.client.dbsize():
            raise StoreUnavailable("the scratch Redis is not empty: give one that holds nothing")


def _texts(rows: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): row.decode() for name, row in rows.items()}


def _tenant_of(row: str) -> str:
    """Return whose an API key is; "" for a row that cannot be read, which opens nothing."""
    try:
        tenant = orjson.loads(row)["tenant"]
    except (ValueError, TypeError, LookupError):
        return ""
    return tenant if isinstance(tenant, str) else ""


def _head(row: Sequence[bytes | None]) -> Head | None:
    epoch, version, fence, active_ms = row
    if epoch is None or version is None or fence is None or active_ms is None:
        return None
    return Head(epoch.decode(), int(version), int(fence), int(active_ms))


def _finished(seen: Mapping[str, str], version: int) -> dict[str, str]:
    """Return the ids of turns that are in the history, or are not to be executed any more.

    The others run or wait, and a copy has nothing of them: sent again, they are executed anew.
    """

    def is_kept(value: str) -> bool:
        number = value.partition(":")[2].partition(":")[0]
        return value in {"gone", "sealed"} or (number.isdecimal() and int(number) <= version)

    return {turn_id: value for turn_id, value in seen.items() if is_kept(value)}
