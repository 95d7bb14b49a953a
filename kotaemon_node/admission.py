"""Composes who lets callers in: the part of ``bootstrap`` that is about credentials."""

from kotaemon_node.adapters.redis import RedisApiKeys, RedisStore
from kotaemon_node.adapters.system import RandomIds, SecretLines
from kotaemon_node.api.authority import Authority
from kotaemon_node.api.key_ring import KeyRing
from kotaemon_node.domain.credentials import problem_of
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.settings import Settings


def make_authority(settings: Settings, store: RedisStore, *, clock: Clock) -> Authority | None:
    """Return who judges credentials; None in open mode.

    Ends the process where what the settings name cannot be used, without telling any secret.
    """
    if settings.auth_mode == "open":
        return None
    try:
        admin = SecretLines(settings.admin_key_file, check=problem_of, fixed=settings.admin_key)
        path = settings.session_secret_file
        secrets = None if path is None else SecretLines(path, check=problem_of)
    except ValueError as error:
        raise SystemExit(f"ADMIN_KEY, ADMIN_KEY_FILE or SESSION_SECRET_FILE: {error}") from error
    ring = KeyRing(
        RedisApiKeys(store),
        admin=admin,
        secrets=secrets,
        clock=clock,
        ids=RandomIds(),
        stale_s=settings.api_keys_stale_s,
    )
    return Authority(ring, clock=clock)
