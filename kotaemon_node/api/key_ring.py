"""The keys that count now, as this pod knows them: read again when they are two seconds old.

All of them, and not one by one as they are asked for: so a guess costs the store nothing, however
many there are, and a key that was revoked is out everywhere after ``API_KEYS_KNOWN_S``. A store
that does not answer makes 503: who cannot be told from a stranger is not called one. Where
``API_KEYS_STALE_S`` allows it, what was read last counts until then.
"""

import threading
from collections.abc import Iterable, Sequence
from hmac import compare_digest

from kotaemon_node.domain import limits
from kotaemon_node.domain.credentials import ApiKey, digest_of, key_id_of
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.ports.credentials import ApiKeys, KeyTable, Lines
from kotaemon_node.ports.runtime import Clock, IdSource

ADMIN_SUBJECT = "key:admin"
_FAILED_S = 0.5  # for so long after a failure nobody waits for the store again


class KeyRing:
    """Finds keys and secrets. Thread safe; one caller reads while the others wait for it."""

    def __init__(
        self,
        keys: ApiKeys,
        *,
        admin: Lines,
        secrets: Lines | None,
        clock: Clock,
        ids: IdSource,
        stale_s: float = 0.0,
    ) -> None:
        """``admin``: keys given to the process; ``secrets``: for ids, None: the store keeps one.

        ``stale_s``: for so long what was read last counts while the store does not answer.
        """
        self._stale_s = max(stale_s, limits.API_KEYS_KNOWN_S)
        self._keys = keys
        self._admin = admin
        self._secrets = secrets
        self._clock = clock
        self._ids = ids
        self._reading = threading.Lock()
        self._table: KeyTable | None = None
        self._own: Sequence[ApiKey] = ()
        self._of_sessions: Sequence[str] = ()
        self._read_s = 0.0
        self._failed_s: float | None = None

    def of_text(self, text: str) -> ApiKey | None:
        """Return the key that was printed as ``text``; None for any other text."""
        self._look()
        digest = digest_of(text)
        key_id = key_id_of(text)
        stored = self._table.keys.get(key_id) if self._table and key_id else None
        given = [*self._own, *([stored] if stored else [])]
        return _matching(digest, given, now_s=self._clock.now_s())

    def of_id(self, key_id: str) -> ApiKey | None:
        """Return the key of an id, if it counts."""
        self._look()
        own = next((key for key in self._own if key.id == key_id), None)
        return own or (self._table.keys.get(key_id) if self._table else None)

    def session_secrets(self) -> Sequence[str]:
        """Return the secrets with which ids of sessions are made, that for new ones first."""
        self._look()
        return self._of_sessions

    def _look(self) -> None:
        if self._fresh():
            return
        with self._reading:
            if self._fresh():
                return
            now_s = self._clock.monotonic_s()
            if self._failed_s is not None and now_s - self._failed_s < _FAILED_S:
                if self._known_within(self._stale_s):
                    return
                raise StoreUnavailable("the store of the keys does not answer")
            try:
                self._read()
            except StoreUnavailable:
                self._failed_s = self._clock.monotonic_s()
                if self._known_within(self._stale_s):
                    return
                raise
            self._read_s, self._failed_s = now_s, None

    def _fresh(self) -> bool:
        return self._known_within(limits.API_KEYS_KNOWN_S)

    def _known_within(self, age_s_max: float) -> bool:
        return self._table is not None and self._clock.monotonic_s() - self._read_s < age_s_max

    def _read(self) -> None:
        table = self._keys.table(self._table)
        if self._secrets is not None:
            # A file that became unusable is in the log; meanwhile ids go on as they were made.
            secrets = self._secrets.lines() or self._of_sessions
        else:
            # A store that lost the secret gets back the one that ids were made with.
            known = self._of_sessions[0] if self._of_sessions else self._fresh_secret()
            secrets = (self._keys.session_secret(known),)
        self._own = [_admin_key(text) for text in self._admin.lines()]
        self._of_sessions, self._table = secrets, table

    def _fresh_secret(self) -> str:
        return "".join(self._ids.new_id() for _ in range(3))  # at least 288 bits


def _admin_key(text: str) -> ApiKey:
    digest = digest_of(text)
    return ApiKey(f"admin-{digest[:8]}", digest, DEFAULT_TENANT, "admin", ADMIN_SUBJECT, 0.0)


def _matching(digest: str, keys: Iterable[ApiKey], *, now_s: float) -> ApiKey | None:
    """Return the key of the digest, in a time that does not tell how much of it was right."""
    found = None
    for key in keys:
        for one in key.digests(now_s):
            if compare_digest(one, digest):
                found = key
    return found
