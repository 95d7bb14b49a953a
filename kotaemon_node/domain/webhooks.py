"""Outgoing webhooks as values: what is told, and how whoever hears it knows that we said it.

The form is that of Standard Webhooks: three headers, and a signature over id, time and body. A
receiver that is written in Python uses ``verify``; for others there are libraries of that form.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

ID_HEADER: Final = "webhook-id"
TIME_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

EventType = Literal["turn.completed", "session.handoff", "faq.draft", "plugin.breaker_opened"]

_PREFIX: Final = "whsec_"
_VERSION: Final = "v1"
SECRET_BYTES_MIN: Final = 24
SECRETS_MAX: Final = 2
"""While one takes the place of another, both sign."""
TOLERANCE_S: Final = 300.0
_TIME_DIGITS_MAX: Final = 12  # of seconds since 1970: 30,000 years


class WebhookRejected(ValueError):
    """What came is not from us, or is old; nothing in it may be believed."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who is told of which events."""

    name: str
    url: str
    events: frozenset[EventType]
    tenant: str
    texts: bool = False
    """Whether it gets what was said, too."""
    private: bool = False
    """Whether its address may be of this machine or of a private network."""


def problem_of_secret(secret: str) -> str:
    """Return what is wrong with a secret, "" for a good one."""
    try:
        key = key_of(secret)
    except ValueError:
        return f"a secret is {_PREFIX} and base64"
    if len(key) < SECRET_BYTES_MIN:
        return f"a secret has at least {SECRET_BYTES_MIN} bytes"
    return ""


def key_of(secret: str) -> bytes:
    """Return the bytes that a secret stands for; ``ValueError`` where it is none."""
    if not secret.startswith(_PREFIX):
        raise ValueError("it does not begin as a secret does")
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("it is no base64") from error


def headers_of(
    body: bytes, *, message_id: str, at_s: float, secrets: Sequence[str]
) -> dict[str, str]:
    """Return the three headers; every one of ``secrets`` signs."""
    at = str(int(at_s))
    signed = [f"{_VERSION},{_signature(body, message_id, at, secret)}" for secret in secrets]
    return {ID_HEADER: message_id, TIME_HEADER: at, SIGNATURE_HEADER: " ".join(signed)}


def verify(
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Sequence[str],
    now_s: float,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """Return the id of a message that one of ``secrets`` signed not long ago.

    ``headers`` in whatever case, ``body`` exactly as it came, ``now_s`` as ``time.time()`` says.
    Raises ``WebhookRejected``. The id is the same whenever the message comes again: keep those of
    the last days, and do nothing where it is known.
    """
    told = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, at, signatures = (
            told[name] for name in (ID_HEADER, TIME_HEADER, SIGNATURE_HEADER)
        )
    except KeyError as error:
        raise WebhookRejected(f"there is no header {error.args[0]}") from None
    if not (at.isascii() and at.isdigit() and len(at) <= _TIME_DIGITS_MAX):
        raise WebhookRejected("its time is no number")
    if abs(now_s - int(at)) > tolerance_s:
        raise WebhookRejected("it is too old, or a clock is wrong")
    expected = [_signature(body, message_id, at, secret) for secret in secrets]
    for signature in signatures.split():
        version, _, code = signature.partition(",")
        # Every one is compared whole: how long it takes tells nothing.
        matches = [hmac.compare_digest(code.encode(), one.encode()) for one in expected]
        if version == _VERSION and any(matches):
            return message_id
    raise WebhookRejected("no secret of ours signed it")


def _signature(body: bytes, message_id: str, at: str, secret: str) -> str:
    signed = b".".join((message_id.encode(), at.encode(), body))
    return base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()
