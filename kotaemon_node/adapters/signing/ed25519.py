"""``ports.signing`` with Ed25519 (RFC 8032).

A public key is written as ``ed25519:`` and its 32 bytes in base64. Its id is the first 16 hex
digits of the sha256 of these bytes: the id only chooses a key, it proves nothing.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kotaemon_node.domain.signed_manifest import UntrustedArtifact

PUBLIC_KEY_PREFIX: Final = "ed25519:"
_KEY_BYTES: Final = 32


class Ed25519Signer:
    """``ports.signing.Signer``."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        public = key.public_key()
        self.public_key = written(public)
        """The public key as ``TRUSTED_KEYS`` takes it."""
        self.key_id = _key_id(public.public_bytes_raw())

    @classmethod
    def of_seed(cls, seed: bytes) -> "Ed25519Signer":
        """Return the signer of a seed of 32 bytes, for keys that need not be secret."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def sign(self, message: bytes) -> bytes:
        """See the port."""
        return self._key.sign(message)


class TrustedKeys:
    """``ports.signing.Verifier``."""

    def __init__(self, public_keys: Iterable[str]) -> None:
        """Trust these keys. Raises ``ValueError`` for one that is not written as a public key."""
        self._keys: dict[str, Ed25519PublicKey] = {}
        for text in public_keys:
            raw = _public_bytes(text)
            self._keys[_key_id(raw)] = Ed25519PublicKey.from_public_bytes(raw)

    def check(self, message: bytes, *, key_id: str, signature: bytes) -> None:
        """See the port."""
        key = self._keys.get(key_id)
        if key is None:
            known = ", ".join(sorted(self._keys)) or "none: TRUSTED_KEYS is empty"
            raise UntrustedArtifact(
                f"the manifest is signed by key {key_id}, which is not trusted (trusted: {known})",
                reason="unknown_key",
            )
        try:
            key.verify(signature, message)
        except InvalidSignature:
            raise UntrustedArtifact(
                f"the manifest is not what key {key_id} has signed", reason="bad_signature"
            ) from None


def written(key: Ed25519PublicKey) -> str:
    """Return a public key as ``TRUSTED_KEYS`` takes it."""
    return PUBLIC_KEY_PREFIX + base64.b64encode(key.public_bytes_raw()).decode()


def _key_id(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:16]


def _public_bytes(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.removeprefix(PUBLIC_KEY_PREFIX), validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != _KEY_BYTES or not text.startswith(PUBLIC_KEY_PREFIX):
        raise ValueError(
            f"{text[:80]!r} is not a public key: {PUBLIC_KEY_PREFIX} and 32 bytes in base64"
        )
    return raw
