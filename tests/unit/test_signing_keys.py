"""Key files and the settings that name them."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from kotaemon_node.adapters.signing import (
    Ed25519Signer,
    create_signing_key,
    public_key_of,
    read_signing_key,
    read_trusted_keys,
)
from kotaemon_node.domain.signed_manifest import UntrustedArtifact
from kotaemon_node.ports.signing import Verifier
from tests.fakes.signing import SIGNER, STRANGER


def trusts(verifier: Verifier, signer: object) -> bool:
    assert isinstance(signer, type(SIGNER))
    try:
        verifier.check(b"text", key_id=signer.key_id, signature=signer.sign(b"text"))
    except UntrustedArtifact:
        return False
    return True


def test_a_new_key_is_for_its_owner_alone_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    public = create_signing_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public_key_of(path) == public
    assert trusts(read_trusted_keys(public), read_signing_key(path))
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        create_signing_key(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["signing.pem"]


def test_keys_are_named_one_by_one_or_in_files(tmp_path: Path) -> None:
    file = tmp_path / "trusted"
    file.write_text(f"# of last year\n{STRANGER.public_key}  # until May\n\n", encoding="utf-8")
    both = read_trusted_keys(f" {SIGNER.public_key} , {file} ,")
    assert trusts(both, SIGNER)
    assert trusts(both, STRANGER)
    assert not trusts(read_trusted_keys(str(file)), SIGNER)
    assert not trusts(read_trusted_keys(""), SIGNER)
    assert trusts(read_trusted_keys("", own=SIGNER), SIGNER)


def certificate(key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> str:
    """Return a certificate of the key, by the key, as Helm makes one; long expired."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kotaemon")])
    unsigned = (
        x509.CertificateBuilder(name, name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2020, 1, 2, tzinfo=UTC))
    )
    hashed = None if isinstance(key, Ed25519PrivateKey) else SHA256()
    return unsigned.sign(key, hashed).public_bytes(Encoding.PEM).decode()


def test_the_key_of_each_certificate_in_a_file_is_trusted(tmp_path: Path) -> None:
    keys = [Ed25519PrivateKey.generate() for _ in range(3)]
    signers = [Ed25519Signer(key) for key in keys]
    file = tmp_path / "signing.crt"
    file.write_text("Subject: kotaemon\n" + certificate(keys[0]) + certificate(keys[1]))

    trusted = read_trusted_keys(f"{file},{SIGNER.public_key}")

    assert [trusts(trusted, one) for one in (*signers, SIGNER)] == [True, True, False, True]


@pytest.mark.parametrize(
    "content",
    [
        certificate(generate_private_key(SECP256R1())),
        certificate(Ed25519PrivateKey.generate())[:200],
        certificate(Ed25519PrivateKey.generate()).replace("M", "!", 1),
    ],
)
def test_a_certificate_that_says_no_key_is_told_by_its_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "signing.crt"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"signing\.crt holds a certificate"):
        read_trusted_keys(str(file))


@pytest.mark.parametrize(
    "setting", ["ed25519:", "ed25519:AAAA", "ed25519:!!", SIGNER.public_key[8:], "keys.txt"]
)
def test_what_is_no_key_is_told_at_the_start(setting: str) -> None:
    with pytest.raises(ValueError, match=r"neither a key nor|is not a public key"):
        read_trusted_keys(setting)


def test_a_file_that_is_away_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_trusted_keys(str(tmp_path / "nowhere"))


def pem(password: bytes | None) -> bytes:
    secret = BestAvailableEncryption(password) if password else NoEncryption()
    return generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, secret
    )


@pytest.mark.parametrize("content", [b"", b"text", pem(None), pem(b"password")])
def test_a_file_without_a_usable_private_key_is_told_by_its_name(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "signing.pem"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"signing\.pem holds"):
        read_signing_key(path)
