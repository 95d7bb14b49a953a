"""Which tenants Redis has something of that a backup holds, be it no more than one API key."""

import re
from collections.abc import Sequence
from typing import Any, Final

from kotaemon_node.adapters.redis.api_keys import RedisApiKeys
from kotaemon_node.adapters.redis.audit import RedisAuditStore
from kotaemon_node.adapters.redis.cluster import ClusterClient
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.data_keys import RedisDataKeys
from kotaemon_node.adapters.redis.store_errors import store_errors

_SCANNED_AT_ONCE: Final = 500  # keys looked at in one step of Redis: well below a millisecond
_PATTERNS: Final = ("kn:*:{*}:meta", "kn:kb:*", "kn:{plugins:*}:desired")
_TENANT: Final = re.compile(
    rb"kn:([^:{}]+):\{[^{}]*\}:meta|kn:kb:([^:{}]+)|kn:\{plugins:([^:{}]+)\}:desired"
)


def tenants_met(store: RedisStore) -> set[str]:
    """Return them; goes once through all names, a part at a time, and holds up nobody.

    A tenant whose sessions have all ended still has an audit log and data keys: those are listed.
    """
    found = {key.tenant for key in RedisApiKeys(store).table(None).keys.values()}
    found |= {*RedisAuditStore(store).tenants(), *RedisDataKeys(store).tenants()}
    with store_errors():
        for server in servers_of(store):
            for pattern in _PATTERNS:
                for name in server.scan_iter(match=pattern, count=_SCANNED_AT_ONCE):
                    if match := _TENANT.fullmatch(name):
                        found.add((match[1] or match[2] or match[3]).decode())
    return found


def has_sessions_of_others(store: RedisStore, tenant: str) -> bool:
    """Tell whether any other tenant has a session."""
    with store_errors():
        for server in servers_of(store):
            for name in server.scan_iter(match=_PATTERNS[0], count=_SCANNED_AT_ONCE):
                match = _TENANT.fullmatch(name)
                if match and match[1] != tenant.encode():
                    return True
    return False


def servers_of(store: RedisStore) -> Sequence[Any]:
    """Return every server that has keys of its own."""
    client = store.client
    if isinstance(client, ClusterClient):
        return [node.client for node in client.slots.primaries()]
    return [client]
