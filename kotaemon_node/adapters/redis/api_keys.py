"""API keys in Redis: one hash of what is kept of each, and a stamp that changes with it."""

import secrets
from dataclasses import asdict
from typing import Any

import orjson
import structlog
from redis.exceptions import NoPermissionError

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.domain import limits
from kotaemon_node.domain.credentials import ApiKey, scopes_of
from kotaemon_node.domain.errors import Conflict, Forbidden, Invalid, NotFound, Overloaded
from kotaemon_node.ports.credentials import KeyTable

_log = structlog.get_logger(__name__)


class RedisApiKeys:
    """``ports.credentials.ApiKeys``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def table(self, before: KeyTable | None) -> KeyTable:
        """See the port."""
        with store_errors():
            stamp = (self._store.client.get(keys.API_KEYS_STAMP) or b"").decode()
            # A random stamp: a store that was wiped and filled again never shows an old one.
            if before is not None and before.stamp == stamp:
                return before
            rows = self._store.client.hgetall(keys.API_KEYS)
        found = (_key_of(key_id.decode(), row) for key_id, row in rows.items())
        return KeyTable(stamp, {key.id: key for key in found if key is not None})

    def add(self, key: ApiKey) -> None:
        """See the port."""
        outcome = self._change(key.id, _row_of(key))
        if outcome == b"exists":
            raise Conflict(f"there is a key {key.id} already")
        if outcome == b"full":
            raise Overloaded(f"there are {limits.API_KEYS_MAX} keys; revoke some first")

    def replace(self, before: ApiKey, after: ApiKey) -> None:
        """See the port."""
        outcome = self._change(before.id, _row_of(after), before=before.digest)
        if outcome == b"missing":
            raise NotFound(f"there is no key {before.id}")
        if outcome == b"changed":
            raise Conflict(f"the key {before.id} was rotated by somebody else just now")

    def remove(self, key_id: str) -> bool:
        """See the port."""
        return bool(self._change(key_id, b"") == b"ok")

    def session_secret(self, proposed: str) -> str:
        """See the port."""

        def fill(pipe: Any) -> None:
            pipe.set(keys.SESSION_SECRET, proposed, nx=True)
            pipe.get(keys.SESSION_SECRET)

        with store_errors():
            kept = self._store.client.get(keys.SESSION_SECRET)
        if kept is None:
            # What ids are made with may not be lost by the store afterwards.
            _, kept = self._store.pipelined(fill, confirmed=True)
        return str(kept.decode())

    def _change(self, key_id: str, row: bytes, *, before: str = "") -> Any:
        arguments = [key_id, row, secrets.token_hex(8), limits.API_KEYS_MAX, before]
        try:
            return self._store.run("api_key", [keys.API_KEYS, keys.API_KEYS_STAMP], arguments)
        except NoPermissionError as error:
            raise Forbidden(
                "this user of Redis may read keys, not change them; name one that may in REDIS_URL,"
                " as `backup` (docs/how-to/api-keys.md)"
            ) from error


def _row_of(key: ApiKey) -> bytes:
    """Return what is kept of a key; what it has not is left out.

    So a pod of an older version reads every key but those that need what it does not know: these
    open nothing there, instead of more than they should.
    """
    row = asdict(key)
    later = ("scopes", "previous_digest", "previous_until")
    return orjson.dumps({name: row[name] for name in row if name not in later or row[name]})


def _key_of(key_id: str, row: bytes) -> ApiKey | None:
    """Return what a row says; one that cannot be read opens nothing and closes no other."""
    try:
        fields = orjson.loads(row)
        scopes = scopes_of(fields.pop("scopes", ()))
        return ApiKey(**{**fields, "id": key_id}, scopes=scopes)
    except (ValueError, TypeError, AttributeError, Invalid) as error:
        _log.warning("api_key_unreadable", key=key_id, reason=type(error).__name__)
        return None
