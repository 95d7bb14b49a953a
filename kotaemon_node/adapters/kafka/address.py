"""Where a Kafka cluster is and how to be let in, as kafka-python's options."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self

# A broker that is back is found within about a second; a silent one is given up after three.
_RECONNECT_MAX_MS: Final = 1_000
REQUEST_TIMEOUT_MS: Final = 3_000
BOOTSTRAP_TIMEOUT_MS: Final = 2_000
_PASSWORD_CHARS_MAX: Final = 4_096


class KafkaSettings(Protocol):
    """What is read of the settings."""

    @property
    def kafka_bootstrap_servers(self) -> str: ...
    @property
    def kafka_security_protocol(self) -> str: ...
    @property
    def kafka_sasl_mechanism(self) -> str: ...
    @property
    def kafka_username(self) -> str: ...
    @property
    def kafka_password(self) -> str: ...
    @property
    def kafka_password_file(self) -> Path | None: ...
    @property
    def kafka_ca_file(self) -> Path | None: ...
    @property
    def kafka_cert_file(self) -> Path | None: ...
    @property
    def kafka_key_file(self) -> Path | None: ...


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """A Kafka cluster: hosts with ports, and the credentials where it wants some."""

    servers: tuple[str, ...]
    security_protocol: str = "PLAINTEXT"
    """``PLAINTEXT``, ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``."""
    sasl_mechanism: str = "PLAIN"
    """``PLAIN``, ``SCRAM-SHA-256`` or ``SCRAM-SHA-512``; only with a SASL protocol."""
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    """Certificates that sign the brokers'; None: those of the system."""
    cert_file: Path | None = None
    """Certificate by which the brokers know us; None: none is shown."""
    key_file: Path | None = None
    """Its key; None: in the same file."""
    password_file: Path | None = None
    """Where the password stands instead; each client that is made reads it."""

    @classmethod
    def of(cls, settings: KafkaSettings) -> Self:
        """Return the cluster that the settings name. Raises ``ValueError`` where they do not."""
        servers = [server.strip() for server in settings.kafka_bootstrap_servers.split(",")]
        named = tuple(_checked(server) for server in servers if server)
        if not named:
            raise ValueError("KAFKA_BOOTSTRAP_SERVERS names no server")
        if settings.kafka_security_protocol.startswith("SASL") and not settings.kafka_username:
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL is {settings.kafka_security_protocol}, but"
                " KAFKA_USERNAME is empty"
            )
        return cls(
            servers=named,
            security_protocol=settings.kafka_security_protocol,
            sasl_mechanism=settings.kafka_sasl_mechanism,
            username=settings.kafka_username,
            password=settings.kafka_password,
            ca_file=settings.kafka_ca_file,
            cert_file=settings.kafka_cert_file,
            key_file=settings.kafka_key_file,
            password_file=settings.kafka_password_file,
        )

    @property
    def encrypted(self) -> bool:
        """Whether it is spoken to over TLS."""
        return self.security_protocol.endswith("SSL")

    def current_password(self) -> str:
        """Return the password that counts now. Raises ``OSError`` where it cannot be read."""
        if self.password_file is None:
            return self.password
        with self.password_file.open(encoding="utf-8") as file:
            return file.readline(_PASSWORD_CHARS_MAX).strip()

    def options(self) -> dict[str, Any]:
        """Return what consumers, producers and administrators are made with.

        Raises ``OSError`` where a password cannot be read.
        """
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.servers),
            "client_id": "kotaemon",
            "security_protocol": self.security_protocol,
            "bootstrap_timeout_ms": BOOTSTRAP_TIMEOUT_MS,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            "reconnect_backoff_max_ms": _RECONNECT_MAX_MS,
        }
        if "SASL" in self.security_protocol:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.current_password()
        files = {
            "ssl_cafile": self.ca_file,
            "ssl_certfile": self.cert_file,
            "ssl_keyfile": self.key_file,
        }
        if self.encrypted:
            options |= {name: str(path) for name, path in files.items() if path is not None}
        return options


def _checked(server: str) -> str:
    host, colon, port = server.rpartition(":")
    if not (host and colon and port.isdigit() and 1 <= int(port) <= 65_535):
        raise ValueError(f"KAFKA_BOOTSTRAP_SERVERS: {server!r} is not host:port")
    return server
