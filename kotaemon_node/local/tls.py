"""The certificate of the balancer on one machine: where it is, and whether it can be used."""

import ssl
from contextlib import suppress
from pathlib import Path

from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder


def check(certificate: Path, key: Path | None) -> None:
    """Make sure that they can be read and belong together; ``LocalError`` says what is wrong."""
    for path in filter(None, (certificate, key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise LocalError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        if "mismatch" in str(error).lower():
            raise LocalError(f"{key} is not the key of the certificate {certificate}.") from error
        raise LocalError(
            f"{certificate} and its key cannot be used ({_reason(error)}): both must be PEM, the"
            " key without a password; name a key of its own file with --tls-key."
        ) from error


def link(folder: DataFolder, certificate: Path, key: Path | None) -> None:
    """Lead from the data folder to the files, so that what renews them need not know it.

    HAProxy asks for names of its own; a link is followed anew at each look.
    """
    folder.tls.mkdir(mode=0o700, exist_ok=True)
    for name, target in (("tls.crt", certificate), ("tls.key", key)):
        place = folder.tls / name
        with suppress(FileNotFoundError):
            place.unlink()
        if target is not None:
            place.symlink_to(target.absolute())


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).replace("_", " ").lower()
