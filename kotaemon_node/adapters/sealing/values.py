"""The form of a sealed value, and the one function each that makes and opens it.

    bytes   what
    1       0xF5: begins no UTF-8, no JSON and no zlib stream; so what is not sealed is known
    1       1: the version of this form
    8       id of the data key
    12      nonce, random
    n + 16  AES-256-GCM: the value, and its tag

Law 1: a nonce is never used twice with a key. Nonces are random, and no two processes speak about
    them, so the key is changed before chance repeats one: NIST SP 800-38D, 8.3, allows 2^32 values
    a key, by which two share a nonce with a probability of 2^-32. A data key seals nothing
    itself. What lies in a session is sealed by a key of that session, anything else by one of its
    kind (``subkey``): a session of a thousand frames a second would have to last for seven weeks.
    What is of no session is bounded by the age of data keys (``DATA_KEY_AGE_S``).
Law 2: a value opens where it was sealed and nowhere else. The place is associated data: each part
    behind its length, so that no two places read the same; the head, with the key's id, before it.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from kotaemon_node.domain.data_keys import KEY_ID_BYTES
from kotaemon_node.domain.errors import Sealed
from kotaemon_node.ports.cipher import SEALED_MARK, SealedPlace

MAGIC: Final = SEALED_MARK + b"\x01"
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_HEAD_BYTES: Final = len(MAGIC) + KEY_ID_BYTES
OVERHEAD_BYTES: Final = _HEAD_BYTES + NONCE_BYTES + TAG_BYTES


def subkey(data_key: bytes, place: SealedPlace) -> AESGCM:
    """Return what seals at ``place``: HKDF-Expand of RFC 5869, whose input is random already."""
    whose = ("session", place.session) if place.session else ("kind", place.kind)
    info = b"kotaemon seal" + _told_apart(place.tenant, *whose)
    return AESGCM(HKDFExpand(SHA256(), length=32, info=info).derive(data_key))


def sealed_value(value: bytes, place: SealedPlace, *, key_id: bytes, key: AESGCM) -> bytes:
    """Return ``value`` sealed for ``place`` with the subkey ``key`` of the data key ``key_id``."""
    head, nonce = MAGIC + key_id, os.urandom(NONCE_BYTES)
    return head + nonce + key.encrypt(nonce, value, _associated(head, place))


def opened_value(sealed: bytes, place: SealedPlace, *, key: AESGCM) -> bytes:
    """Return what was sealed; raises ``Sealed``."""
    if len(sealed) < OVERHEAD_BYTES:
        raise Sealed(f"a sealed {place.field} was cut off", reason="altered")
    head, rest = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
    nonce, content = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
    try:
        return key.decrypt(nonce, content, _associated(head, place))
    except InvalidTag:
        raise Sealed(
            f"a sealed {place.field} was altered, or comes from another place", reason="altered"
        ) from None


def is_sealed(value: bytes) -> bool:
    """Tell whether a value says that it is sealed, by any version of the form."""
    return value[:1] == SEALED_MARK


def key_id_of(sealed: bytes) -> bytes:
    """Return the id of the data key that sealed a value; raises ``Sealed`` for another form."""
    if sealed[: len(MAGIC)] != MAGIC:
        raise Sealed("a value was sealed by a newer version; upgrade this one", reason="altered")
    return sealed[len(MAGIC) : _HEAD_BYTES]


def _associated(head: bytes, place: SealedPlace) -> bytes:
    return head + _told_apart(place.tenant, place.session, place.field, place.turn)


def _told_apart(*parts: str) -> bytes:
    encoded = [part.encode() for part in parts]
    return b"".join([len(part).to_bytes(4, "big") + part for part in encoded])
