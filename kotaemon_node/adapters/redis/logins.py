"""Logins of the page that were ended before their time: a key each, which lives as long."""

import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.exceptions import NoPermissionError

from kotaemon_node.adapters.redis import login_keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.ports.logins import LoginMark

_CLOCKS_APART_S = 300
"""Kept for so much longer than a login lives: pods' clocks say when it ends, and not Redis's."""


class RedisEndedLogins:
    """``ports.logins.EndedLogins``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def stamp(self, tenant: str, subject: str) -> str:
        """See the port."""
        name = login_keys.stamp(tenant, subject)
        with _rights_told():
            (found,) = self._store.pipelined(lambda pipe: pipe.get(name))
        return _text(found)

    def ended(self, mark: LoginMark) -> bool:
        """See the port."""

        def fill(pipe: Any) -> None:
            pipe.exists(login_keys.ended(mark.tenant, mark.id))
            pipe.get(login_keys.stamp(mark.tenant, mark.subject))

        with _rights_told():
            itself, stamp = self._store.pipelined(fill)
        # A stamp that is gone was older than any login may be: all that live were made under it.
        return bool(itself) or (stamp is not None and _text(stamp) != mark.stamp)

    def end(self, mark: LoginMark, *, left_s: float) -> None:
        """See the port."""
        self._keep(login_keys.ended(mark.tenant, mark.id), "1", left_s)

    def end_all(self, tenant: str, subject: str) -> None:
        """See the port."""
        # Random and no time of a clock: a login is under it or it is not, whatever clocks say.
        self._keep(login_keys.stamp(tenant, subject), secrets.token_hex(8), limits.LOGIN_S)

    def _keep(self, key: str, value: str, left_s: float) -> None:
        life_s = math.ceil(max(0.0, left_s)) + _CLOCKS_APART_S
        with _rights_told():
            # Who was told that a login has ended may rely on it.
            self._store.pipelined(lambda pipe: pipe.set(key, value, ex=life_s), confirmed=True)


@contextmanager
def _rights_told() -> Iterator[None]:
    """Say what to do where the users of Redis are those of a release that knew no such keys."""
    try:
        yield
    except NoPermissionError as error:
        raise StoreUnavailable(
            "the session store does not let this pod look after logins: give its users the rights"
            " of this release (`kotaemon rights redis`; docs/how-to/least-rights.md)"
        ) from error


def _text(value: bytes | None) -> str:
    return value.decode() if value else ""
