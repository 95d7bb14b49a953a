"""A certificate authority of a test's own, and what it signs: good, expired, for another name."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY: Final = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate, with those between it and its authority, and its key."""

    certificate: Path
    key: Path

    @property
    def serial(self) -> int:
        """Which one it is."""
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).serial_number


class Authority:
    """Signs certificates; ``file`` is what clients are to trust."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder, self._made = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        self._key, self._own = _signed(name, authority=True)
        # What signs is one further down, as in practice: a server must send it along.
        self._between_key, self._between = _signed(
            f"{name}-between", authority=True, by=(self._own, self._key)
        )
        self.file = folder / f"{name}.crt"
        self.file.write_bytes(_pem(self._own))

    def pair(
        self,
        name: str = "server",
        *,
        hosts: tuple[str, ...] = ("localhost", "127.0.0.1"),
        days: float = 30,
        since_days: float = -1,
    ) -> Pair:
        """Return a new certificate for these hosts, good for ``days``; less than 0: expired."""
        self._made += 1
        key, own = _signed(
            name,
            hosts=hosts,
            days=days,
            since_days=since_days,
            by=(self._between, self._between_key),
        )
        pair = Pair(
            self._folder / f"{name}-{self._made}.crt", self._folder / f"{name}-{self._made}.key"
        )
        pair.certificate.write_bytes(_pem(own) + _pem(self._between))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pair


def _signed(
    name: str,
    *,
    hosts: tuple[str, ...] = (),
    days: float = 30,
    since_days: float = -1,
    authority: bool = False,
    by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[0].subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + min(since_days, days - 1) * _DAY)
        .not_valid_after(now + days * _DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key((by[1] if by else key).public_key()),
            critical=False,
        )
    )
    if authority:
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        made = made.add_extension(usage, critical=True)
    if hosts:
        names = [_general(host) for host in hosts]
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return key, made.sign(by[1] if by else key, hashes.SHA256())


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
