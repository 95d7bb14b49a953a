"""API keys in Redis: one hash of what is kept of each, and a stamp that changes with it."""

import secrets
from dataclasses import asdict
from typing import Any

import orjson
import structlog

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore, store_errors
from kotaemon_node.domain import limits
from kotaemon_node.domain.credentials import ApiKey
from kotaemon_node.domain.errors import Conflict, Overloaded
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
        outcome = self._change(key.id, orjson.dumps(asdict(key)))
        if outcome == b"exists":
            raise Conflict(f"there is a key {key.id} already")
        if outcome == b"full":
            raise Overloaded(f"there are {limits.API_KEYS_MAX} keys; revoke some first")

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

    def _change(self, key_id: str, row: bytes) -> Any:
        arguments = [key_id, row, secrets.token_hex(8), limits.API_KEYS_MAX]
        return self._store.run("api_key", [keys.API_KEYS, keys.API_KEYS_STAMP], arguments)


def _key_of(key_id: str, row: bytes) -> ApiKey | None:
    """Return what a row says; one that cannot be read opens nothing and closes no other."""
    try:
        return ApiKey(**{**orjson.loads(row), "id": key_id})
    except (ValueError, TypeError) as error:
        _log.warning("api_key_unreadable", key=key_id, reason=type(error).__name__)
        return None
