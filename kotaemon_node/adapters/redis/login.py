"""How the store lets us in: the options of a connection, from those of ``REDIS_URL``."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError

FILE_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""redis-py's own names, which work in a URL of every form."""
_PASSWORD_BYTES_MAX: Final = 4096


class PasswordFile(CredentialProvider):
    """A password that each new connection reads anew, so that it changes without a restart."""

    def __init__(self, path: str, *, username: str = "") -> None:
        self._path, self._username = Path(path), username

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """See redis-py. Raises its ``AuthenticationError`` where there is no password to read."""
        try:
            with self._path.open("rb") as file:
                lines = file.read(_PASSWORD_BYTES_MAX).decode("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise AuthenticationError(
                f"the password of the session store cannot be read from {self._path}: {reason}"
            ) from error
        password = lines[0].strip() if lines else ""
        if not password:
            raise AuthenticationError(f"{self._path} holds no password of the session store")
        return (self._username, password) if self._username else (password,)


def login(credentials: Mapping[str, str], password_file: str) -> dict[str, Any]:
    """Return what a connection is made with to be let in."""
    if not password_file:
        return dict(credentials)
    username = credentials.get("username", "")
    return {"credential_provider": PasswordFile(password_file, username=username)}


def encryption(files: Mapping[str, str]) -> dict[str, Any]:
    """Return what a connection over TLS is made with; certificate and name are always checked."""
    return {
        **files,
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
    }
