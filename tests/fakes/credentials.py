"""A scripted pod that asks for keys: the product's own authority around keys in memory."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kotaemon_node.adapters.system.ids import RandomIds
from kotaemon_node.api.authority import Authority
from kotaemon_node.api.key_ring import KeyRing
from kotaemon_node.api.live_logins import LiveLogins
from kotaemon_node.domain.credentials import ApiKey, Role, Scope, digest_of, printed
from kotaemon_node.domain.errors import Conflict, NotFound, StoreUnavailable
from kotaemon_node.ports.credentials import KeyTable
from kotaemon_node.ports.logins import EndedLogins, LoginMark
from tests.fakes.services import FakeCluster

ADMIN_KEY = "an-administrator-chose-this-key-herself"


class MemoryKeys:
    """``ports.credentials.ApiKeys`` in a dict, which can be away, and counts who asks it."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.secret = ""
        self.away = False
        self.asked = 0
        self._stamp = 0

    def table(self, before: KeyTable | None) -> KeyTable:
        self._ask()
        if before is not None and before.stamp == str(self._stamp):
            return before
        return KeyTable(str(self._stamp), dict(self.keys))

    def add(self, key: ApiKey) -> None:
        self._ask()
        self._stamp += 1
        self.keys[key.id] = key

    def replace(self, before: ApiKey, after: ApiKey) -> None:
        self._ask()
        if before.id not in self.keys:
            raise NotFound(f"there is no key {before.id}")
        if self.keys[before.id].digest != before.digest:
            raise Conflict(f"the key {before.id} was rotated by somebody else just now")
        self._stamp += 1
        self.keys[before.id] = after

    def remove(self, key_id: str) -> bool:
        self._ask()
        self._stamp += 1
        return self.keys.pop(key_id, None) is not None

    def session_secret(self, proposed: str) -> str:
        self._ask()
        self.secret = self.secret or proposed
        return self.secret

    def _ask(self) -> None:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("the session store does not answer")


class MemoryLogins:
    """``ports.logins.EndedLogins`` in two dicts, which can be away, and counts who asks it."""

    def __init__(self) -> None:
        self.stamps: dict[tuple[str, str], str] = {}
        self.gone: set[str] = set()
        self.away = False
        self.asked = 0

    def stamp(self, tenant: str, subject: str) -> str:
        self._ask()
        return self.stamps.get((tenant, subject), "")

    def ended(self, mark: LoginMark) -> bool:
        self._ask()
        stamp = self.stamps.get((mark.tenant, mark.subject), mark.stamp)
        return mark.id in self.gone or stamp != mark.stamp

    def end(self, mark: LoginMark, *, left_s: float) -> None:
        self._ask()
        self.gone.add(mark.id)

    def end_all(self, tenant: str, subject: str) -> None:
        self._ask()
        self.stamps[tenant, subject] = secrets.token_hex(8)

    def _ask(self) -> None:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("the session store does not answer")


@dataclass
class FixedLines:
    """``ports.credentials.Lines`` that a test may change."""

    now: Sequence[str] = ()

    def lines(self) -> Sequence[str]:
        return self.now


@dataclass
class KeyedCluster(FakeCluster):
    """A scripted pod in mode ``keys``."""

    keys: MemoryKeys = field(default_factory=MemoryKeys)
    ended: EndedLogins = field(default_factory=MemoryLogins)
    admin: FixedLines = field(default_factory=lambda: FixedLines([ADMIN_KEY]))
    secrets: FixedLines | None = None
    stale_s: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.auth_mode = "keys"
        self.ring = KeyRing(
            self.keys,
            admin=self.admin,
            secrets=self.secrets,
            clock=self.clock,
            ids=RandomIds(),
            stale_s=self.stale_s,
        )
        self.live = LiveLogins(
            self.ended, clock=self.clock, random=RandomIds().new_id, stale_s=self.stale_s
        )
        self.authority = Authority(self.ring, live=self.live, clock=self.clock)

    def key(
        self,
        role: Role = "customer",
        *,
        tenant: str = "default",
        user: str = "ann",
        expires_s: float | None = None,
        scopes: Sequence[Scope] = (),
    ) -> str:
        """Make a key and return it as its holder gets it."""
        key_id = secrets.token_hex(6)
        text = printed(key_id, secrets.token_hex(22)[:43])
        end = None if expires_s is None else self.clock.now_s() + expires_s
        self.keys.add(
            ApiKey(key_id, digest_of(text), tenant, role, user, 0.0, end, "", tuple(scopes))
        )
        return text


def bearer(key: str) -> dict[str, Any]:
    """Return the headers of a request with this key."""
    return {"Authorization": f"Bearer {key}"}
