"""An issuer's addresses and keys, as this process knows them: fetched when needed, kept a while.

Rule 1: a thread of its own fetches, one at a time. Who needs it waits for it a moment; others only
    where nothing is known yet. So an issuer that answers nobody holds no request for long.
Rule 2: a key that nobody knows is asked for at most once in ``UNKNOWN_KEY_S``: a flood of made-up
    key ids costs the issuer nothing.
Rule 3: what was read last counts while the issuer is away, until it is ``keys_stale_s`` old.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, RSAKey

from kotaemon_node.adapters.oidc.asking import IssuerFailed, IssuerLine
from kotaemon_node.domain import oidc_limits as limits
from kotaemon_node.domain.errors import IssuerUnavailable
from kotaemon_node.domain.oidc import Issuer, problem_of_place
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)
_DISCOVERY: Final = "/.well-known/openid-configuration"
_PUBLIC: Final = frozenset({"RSA", "EC", "OKP"})


@dataclass(frozen=True, slots=True)
class IssuerKnown:
    """What an issuer published, as of one look."""

    places: Mapping[str, str]
    """Its addresses, by the name that discovery gives them."""
    keys: Sequence[Key]
    names_itself: bool
    """It says in each answer to a login whose answer that is (RFC 9207)."""


class IssuerBook:
    """What is known of one issuer. Thread safe; see the rules above."""

    def __init__(self, issuer: Issuer, line: IssuerLine, *, clock: Clock) -> None:
        self._issuer = issuer
        self._line = line
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: threading.Event | None = None
        """Set once the issuer was read that is being read now; None: nobody reads."""
        self._known: IssuerKnown | None = None
        self._read_s = 0.0
        self._tried_s: float | None = None

    def known(self) -> IssuerKnown:
        """Return what the issuer publishes, of ``keys_s`` ago at most while it answers.

        Raises ``IssuerUnavailable``.
        """
        known = self._within(self._issuer.keys_s)
        if known is None:
            joins = self._within(self._issuer.keys_stale_s) is None
            wait_s = limits.ISSUER_FIRST_WAIT_S if joins else limits.ISSUER_WAIT_S
            self._fetch(pause_s=limits.ISSUER_FAILED_S, wait_s=wait_s, joins=joins)
            known = self._within(self._issuer.keys_stale_s)
        if known is None:
            raise self._unavailable()
        return known

    def keys_for(self, key_id: str | None, *, fits: frozenset[str]) -> Sequence[Key]:
        """Return the keys that may have signed under this id; "" where there is none.

        ``fits``: kinds of keys (``kty``) that the token's algorithm uses. Raises
        ``IssuerUnavailable`` where it may have come, and reading it takes too long.
        """
        if found := _named(self.known().keys, key_id, fits):
            return found
        # It may have come this moment: who shows it waits for whoever is asking.
        read = self._fetch(pause_s=limits.UNKNOWN_KEY_S, wait_s=limits.ISSUER_WAIT_S, joins=True)
        found = _named(self.known().keys, key_id, fits)
        if not found and not read:
            raise self._unavailable()
        return found

    def _unavailable(self) -> IssuerUnavailable:
        return IssuerUnavailable(f"the issuer {self._issuer.name} cannot be asked for its keys now")

    def _within(self, age_s_max: float) -> IssuerKnown | None:
        fresh = self._clock.monotonic_s() - self._read_s < age_s_max
        return self._known if fresh else None

    def _fetch(self, *, pause_s: float, wait_s: float, joins: bool) -> bool:
        """Have it read anew, unless somebody did within ``pause_s``; False: it still is being read.

        ``wait_s``: for so long at most it is waited for, from the beginning of the reading on;
        ``joins``: also where somebody else began it.
        """
        with self._lock:
            now_s = self._clock.monotonic_s()
            begins = self._under_way is None
            if begins:
                if self._tried_s is not None and now_s - self._tried_s < pause_s:
                    return True
                self._begin(now_s)
            done, began_s = self._under_way, self._tried_s
        if done is None or began_s is None:
            return True
        return done.wait(max(0.0, began_s + wait_s - now_s) if begins or joins else 0.0)

    def _begin(self, now_s: float) -> None:
        done = threading.Event()
        # A daemon: a process that ends waits for no issuer.
        threading.Thread(
            target=self._read_anew, args=(done,), name=f"keys-{self._issuer.name}", daemon=True
        ).start()
        self._under_way, self._tried_s = done, now_s

    def _read_anew(self, done: threading.Event) -> None:
        """Read; a failure of any kind leaves what is known."""
        try:
            self._known, self._read_s = self._read(), self._clock.monotonic_s()
        except IssuerFailed as error:
            _log.warning("issuer_unavailable", issuer=self._issuer.name, reason=str(error))
        except Exception:  # noqa: BLE001 - what it publishes may be anything; known keys still count
            _log.exception("issuer_unavailable", issuer=self._issuer.name)
        finally:
            with self._lock:
                self._under_way = None
            done.set()

    def _read(self) -> IssuerKnown:
        answer = self._line.get(self._issuer.url.rstrip("/") + _DISCOVERY)
        if answer.status != 200:
            raise IssuerFailed(f"the issuer answered {answer.status} where it describes itself")
        if answer.told.get("issuer") != self._issuer.url:
            raise IssuerFailed("the issuer names itself otherwise; its address is to the letter")
        places = {
            name: url
            for name, url in answer.told.items()
            if isinstance(url, str) and self._good(url)
        }
        if "jwks_uri" not in places:
            raise IssuerFailed("the issuer names no address of its keys that may be used")
        listed = self._line.get(places["jwks_uri"])
        if listed.status != 200:
            raise IssuerFailed(f"the issuer answered {listed.status} where its keys are")
        keys = _usable(listed.told.get("keys"))
        if not keys:
            raise IssuerFailed("the issuer publishes no key that may be used")
        named = answer.told.get("authorization_response_iss_parameter_supported") is True
        return IssuerKnown(places, keys, named)

    def _good(self, url: str) -> bool:
        return not problem_of_place(url.partition("?")[0], of=self._issuer.url)


def _usable(rows: Any) -> Sequence[Key]:
    """Return the keys that check signatures; others, and what is no key, are passed over."""
    if not isinstance(rows, list):
        raise IssuerFailed("the issuer's keys have another form")
    if len(rows) > limits.ISSUER_KEYS_MAX:
        raise IssuerFailed(f"the issuer publishes more than {limits.ISSUER_KEYS_MAX} keys")
    return [key for row in rows if (key := _key_of(row)) is not None]


def _key_of(row: Any) -> Key | None:
    if not isinstance(row, dict) or not isinstance(row.get("kty"), str):
        return None
    if row["kty"] not in _PUBLIC:
        return None  # a secret that is published is nobody's
    try:
        if row.get("use", "sig") != "sig" or "verify" not in row.get("key_ops", ["verify"]):
            return None
        key = JWKRegistry.import_key(row)
        if isinstance(key, RSAKey) and key.public_key.key_size < limits.RSA_BITS_MIN:
            return None
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return key


def _named(keys: Sequence[Key], key_id: str | None, fits: frozenset[str]) -> Sequence[Key]:
    suited = [key for key in keys if key.key_type in fits]
    if key_id is None:
        # Without an id it may be any; where there are several, whoever signs has to say which.
        return suited if len(suited) == 1 else []
    return [key for key in suited if key.kid == key_id]
