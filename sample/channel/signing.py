"""Signatures in the form of Standard Webhooks, with the standard library only.

Both sides sign alike: an HMAC-SHA256 over id, time and the very bytes of the body. Copy this into
your own program; it knows nothing of the cluster.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping


def signature(secret: str, message_id: str, at: str, body: bytes) -> str:
    """Return what stands in the header; ``secret`` is ``whsec_`` and base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join((message_id.encode(), at.encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(secret: str, message_id: str, body: bytes, *, now_s: float) -> dict[str, str]:
    """Return the three headers of what we send."""
    at = str(int(now_s))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": signature(secret, message_id, at, body),
    }


def is_signed(secret: str, told: Mapping[str, str], body: bytes, *, now_s: float) -> bool:
    """Tell whether what came was signed with our secret, in the last five minutes."""
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    message_id, at, given = (told.get(name, "") for name in names)
    if not at.isdigit() or abs(now_s - int(at)) > 300:
        return False
    expected = signature(secret, message_id, at, body).encode()
    return any([hmac.compare_digest(expected, one.encode()) for one in given.split()])
