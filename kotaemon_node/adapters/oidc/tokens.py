"""Checking one token of an issuer: signature, kind, times, for whom; joserfc does the rest."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jws
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from kotaemon_node.adapters.oidc.keys import IssuerBook
from kotaemon_node.domain.errors import Unauthenticated
from kotaemon_node.domain.oidc import Issuer
from kotaemon_node.ports.runtime import Clock

_REFUSED: Final = "the token does not verify"
_KINDS: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt", "application/jwt"})
"""``typ`` of access and identity tokens; those of log-outs and the like say otherwise."""
_FITTING: Final = {"R": frozenset({"RSA"}), "P": frozenset({"RSA"}), "E": frozenset({"EC"})}
_EDWARDS: Final = frozenset({"OKP"})


class _Registry(JWSRegistry):  # type: ignore[misc, unused-ignore]
    # Issuers put certificates into headers; the whole token was bounded before.
    max_header_length = 8_192


def issuer_claim(token: str) -> str:
    """Return whom an unchecked token names as its issuer; raises ``Unauthenticated``."""
    parts = token.split(".")
    if len(parts) != 3:
        raise Unauthenticated(_REFUSED)
    told = _object(parts[1]).get("iss")
    if not isinstance(told, str):
        raise Unauthenticated("the token names no issuer")
    return told


def checked_claims(
    token: str, issuer: Issuer, book: IssuerBook, *, audiences: tuple[str, ...], clock: Clock
) -> Mapping[str, Any]:
    """Return what the token says, all of it checked but for whom it stands.

    Raises ``Unauthenticated``, ``IssuerUnavailable``.
    """
    header = _object(token.split(".", 1)[0])
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "")
    # Before anybody is asked for a key: a token that can never count costs no request.
    if algorithm not in issuer.algorithms:
        raise Unauthenticated("the token is signed by an algorithm that its issuer does not use")
    if not isinstance(kind, str) or kind.lower() not in _KINDS:
        raise Unauthenticated("the token is not for getting in")
    if "crit" in header or "b64" in header:
        raise Unauthenticated(_REFUSED)
    if not isinstance(key_id, str | None):
        raise Unauthenticated(_REFUSED)
    if not audiences:
        raise Unauthenticated(f"tokens of {issuer.name} do not count here, only its logins")
    _check_times_and_names(_object(token.split(".")[1]), issuer, audiences, clock)
    fits = _EDWARDS if algorithm == "EdDSA" else _FITTING[str(algorithm)[0]]
    for key in book.keys_for(key_id, fits=fits):
        if (claims := _verified(token, key, str(algorithm))) is not None:
            return claims
    raise Unauthenticated(_REFUSED)


def _verified(token: str, key: Key, algorithm: str) -> Mapping[str, Any] | None:
    registry = _Registry(algorithms=[algorithm], strict_check_header=False)
    try:
        found = jws.deserialize_compact(token, key, registry=registry)
        claims = json.loads(found.payload or b"")
    except (JoseError, ValueError, TypeError):
        return None
    return claims if isinstance(claims, dict) else None


def _check_times_and_names(
    claims: Mapping[str, Any], issuer: Issuer, audiences: tuple[str, ...], clock: Clock
) -> None:
    if "events" in claims:
        # It tells of a log-out or another event (RFC 8417), which not every issuer says in `typ`.
        raise Unauthenticated("the token is not for getting in")
    rules = JWTClaimsRegistry(
        now=int(clock.now_s()),
        leeway=issuer.leeway_s,
        iss={"essential": True, "value": issuer.url},
        aud={"essential": True, "values": list(audiences)},
        exp={"essential": True},
    )
    try:
        rules.validate(dict(claims))
    except ExpiredTokenError as error:
        raise Unauthenticated("the token has expired") from error
    except (JoseError, TypeError) as error:
        raise Unauthenticated(f"the token does not count: {error}") from error


def _object(part: str) -> Mapping[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        told = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise Unauthenticated(_REFUSED) from error
    if not isinstance(told, dict):
        raise Unauthenticated(_REFUSED)
    return told
