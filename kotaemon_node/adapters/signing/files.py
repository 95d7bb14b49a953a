"""Keys as operators keep them: a private key in a PEM file, public keys in a setting or a file."""

import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificates

from kotaemon_node.adapters.signing.ed25519 import (
    PUBLIC_KEY_PREFIX,
    Ed25519Signer,
    TrustedKeys,
    written,
)

_COMMENT: Final = "#"
_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"


def create_signing_key(path: Path) -> str:
    """Make a key pair, its private key in the new file ``path`` (PKCS8 PEM, mode 0600).

    Return the public key. Raises ``FileExistsError``: a key is never replaced.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # Written aside and linked: whoever meets the name meets a whole key, and the first one wins.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
    return Ed25519Signer(key).public_key


def read_signing_key(path: Path) -> Ed25519Signer:
    """Return the signer of a private key file.

    Raises ``ValueError`` where it holds no Ed25519 key without a password, ``OSError`` where it
    cannot be read.
    """
    pem = path.read_bytes()
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{path} holds no private key in PKCS8 PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        # Not the type of an argument is wrong, but the content of a file.
        raise ValueError(f"{path} holds a private key of another kind")  # noqa: TRY004
    return Ed25519Signer(key)


def public_key_of(path: Path) -> str:
    """Return the public key of a private key file; errors as ``read_signing_key``."""
    return read_signing_key(path).public_key


def read_trusted_keys(setting: str, *, own: Ed25519Signer | None = None) -> TrustedKeys:
    """Return the keys of ``TRUSTED_KEYS``: public keys and files of them, separated by commas.

    A file has a key a line, where ``#`` begins a comment, or certificates in PEM. Of those only
    the keys count: they are trusted because they are named here, until they are taken out. ``own``
    is trusted as well. Raises ``ValueError`` for what is no key, ``OSError`` where a file cannot be
    read.
    """
    keys: list[str] = [own.public_key] if own is not None else []
    for part in filter(None, (part.strip() for part in setting.split(","))):
        keys += [part] if part.startswith(PUBLIC_KEY_PREFIX) else _keys_in(Path(part))
    return TrustedKeys(keys)


def _keys_in(path: Path) -> list[str]:
    if not path.is_absolute():
        raise ValueError(f"TRUSTED_KEYS: {str(path)!r} is neither a key nor an absolute path")
    text = path.read_text("utf-8")
    if _CERTIFICATE in text:
        return _certified(path, text)
    lines = (line.partition(_COMMENT)[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _certified(path: Path, pem: str) -> list[str]:
    try:
        certificates = load_pem_x509_certificates(pem.encode())
        keys = [certificate.public_key() for certificate in certificates]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{path} holds a certificate that cannot be read") from error
    others = [type(key).__name__ for key in keys if not isinstance(key, Ed25519PublicKey)]
    if others:
        raise ValueError(f"{path} holds a certificate of another kind than Ed25519: {others[0]}")
    return [written(key) for key in keys if isinstance(key, Ed25519PublicKey)]
