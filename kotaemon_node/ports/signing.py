"""Signatures: who may say what a generation is."""

from typing import Protocol


class Signer(Protocol):
    """Signs with one private key. Equal messages have equal signatures."""

    @property
    def key_id(self) -> str:
        """16 hex digits that tell a verifier which of its keys to use."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature (64 bytes) of ``message``."""
        ...


class Verifier(Protocol):
    """Holds the public keys that are trusted; none means that nothing is. Safe for many callers."""

    def check(self, message: bytes, *, key_id: str, signature: bytes) -> None:
        """Return when a trusted key made ``signature`` over exactly ``message``.

        Raises ``UntrustedArtifact`` (``unknown_key`` or ``bad_signature``) otherwise.
        """
        ...
