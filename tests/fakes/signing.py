"""One key pair for all tests, and another that nobody trusts."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kotaemon_node.adapters.signing import Ed25519Signer, TrustedKeys

_SEED = b"kotaemon tests: the known secret"
SIGNER = Ed25519Signer.of_seed(_SEED)
VERIFIER = TrustedKeys([SIGNER.public_key])
STRANGER = Ed25519Signer.of_seed(b"kotaemon tests: a strange secret")


def key_settings(folder: Path) -> dict[str, str]:
    """Return the settings of processes that use ``SIGNER``; its key file is put into ``folder``."""
    path = folder / "signing.pem"
    key = Ed25519PrivateKey.from_private_bytes(_SEED)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return {"SIGNING_KEY_FILE": str(path), "TRUSTED_KEYS": SIGNER.public_key}
