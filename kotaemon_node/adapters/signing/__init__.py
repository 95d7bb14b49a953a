"""Ed25519 signatures; the only place that knows the library behind them."""

from kotaemon_node.adapters.signing.ed25519 import Ed25519Signer, TrustedKeys
from kotaemon_node.adapters.signing.files import (
    create_signing_key,
    public_key_of,
    read_signing_key,
    read_trusted_keys,
)

__all__ = [
    "Ed25519Signer",
    "TrustedKeys",
    "create_signing_key",
    "public_key_of",
    "read_signing_key",
    "read_trusted_keys",
]
