"""Where a RabbitMQ server is and how to be let in, as py-amqp's options."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self
from urllib.parse import unquote, urlsplit

CONNECT_TIMEOUT_S: Final = 2.0
_PASSWORD_CHARS_MAX: Final = 4_096
_PORTS: Final = {"amqp": 5672, "amqps": 5671}


class RabbitmqSettings(Protocol):
    """What is read of the settings."""

    @property
    def rabbitmq_url(self) -> str: ...
    @property
    def rabbitmq_ca_file(self) -> Path | None: ...
    @property
    def rabbitmq_cert_file(self) -> Path | None: ...
    @property
    def rabbitmq_key_file(self) -> Path | None: ...
    @property
    def rabbitmq_password_file(self) -> Path | None: ...


@dataclass(frozen=True, slots=True)
class RabbitmqAddress:
    """A RabbitMQ server, or the name behind which several stand; IPv6 hosts without brackets."""

    host: str
    port: int
    user: str = "guest"
    password: str = field(default="guest", repr=False)
    virtual_host: str = "/"
    tls: bool = False
    ca_file: Path | None = None
    """Certificates that sign the server's; None: those of the system."""
    cert_file: Path | None = None
    """Certificate by which the server knows us; None: none is shown."""
    key_file: Path | None = None
    """Its key; None: in the same file."""
    password_file: Path | None = None
    """Where the password stands instead; each new connection reads it."""

    @classmethod
    def of(cls, settings: RabbitmqSettings) -> Self:
        """Return the server that the settings name. Raises ``ValueError`` where they do not."""
        # The message names no address: it may hold a password.
        wrong = ValueError("RABBITMQ_URL is not amqp(s)://user:password@host:port/virtual-host")
        try:
            url = urlsplit(settings.rabbitmq_url.strip())
            port = url.port
        except ValueError as error:
            raise wrong from error
        if url.scheme not in _PORTS or not url.hostname or url.query or url.fragment:
            raise wrong
        path = url.path.removeprefix("/")
        if "/" in path or port == 0:
            raise wrong
        return cls(
            host=url.hostname,
            port=port or _PORTS[url.scheme],
            user=unquote(url.username) if url.username is not None else "guest",
            password=unquote(url.password) if url.password is not None else "guest",
            # As the RabbitMQ people's own clients read it: nothing, or a slash alone, is "/".
            virtual_host=unquote(path) or "/",
            tls=url.scheme == "amqps",
            ca_file=settings.rabbitmq_ca_file,
            cert_file=settings.rabbitmq_cert_file,
            key_file=settings.rabbitmq_key_file,
            password_file=settings.rabbitmq_password_file,
        )

    def current_password(self) -> str:
        """Return the password that counts now. Raises ``OSError`` where it cannot be read."""
        if self.password_file is None:
            return self.password
        with self.password_file.open(encoding="utf-8") as file:
            return file.readline(_PASSWORD_CHARS_MAX).strip()

    def options(self) -> dict[str, Any]:
        """Return what a connection is made with. Raises ``OSError`` as ``current_password``."""
        options: dict[str, Any] = {
            "host": f"[{self.host}]:{self.port}"
            if ":" in self.host
            else f"{self.host}:{self.port}",
            "userid": self.user,
            "password": self.current_password(),
            "login_method": "PLAIN",
            "virtual_host": self.virtual_host,
            "connect_timeout": CONNECT_TIMEOUT_S,
        }
        if self.tls:
            options["ssl"] = {
                "server_hostname": self.host,
                "cert_reqs": ssl.CERT_REQUIRED,
                "ca_certs": str(self.ca_file) if self.ca_file is not None else None,
                "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
                **{name: str(path) for name, path in self._own_files() if path is not None},
            }
        return options

    def _own_files(self) -> tuple[tuple[str, Path | None], ...]:
        return (("certfile", self.cert_file), ("keyfile", self.key_file))
