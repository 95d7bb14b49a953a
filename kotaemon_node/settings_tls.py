"""Settings of TLS and of the passwords that stand in files; part of ``Settings``."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings


class TlsSettings(BaseSettings):
    """Of the balancer that ``kotaemon up`` runs, and of what pods connect to."""

    tls_cert_file: Path | None = None
    """Certificate, and those that sign it, of the balancer of ``kotaemon up``; None: no TLS."""
    tls_key_file: Path | None = None
    """Its private key; None: it stands in the file of the certificate."""
    tls_hsts_s: int = Field(default=0, ge=0, le=10 * 365 * 86400)
    """Seconds for which browsers ask that name by https alone; 0: nothing is said about it."""
    tls_http_port: int | None = Field(default=None, ge=1, le=65_535)
    """Port on which that balancer leads plain HTTP to https; None: none."""
    redis_users: bool = False
    """Whether the Redis that ``kotaemon up`` runs knows each part as a user with least rights."""
    trusted_proxies: str = Field(default="", pattern=r"^[0-9A-Fa-f.:/, ]*$")
    """Networks of proxies before the balancer whose ``X-Forwarded-…`` counts: ``10.0.0.0/8,…``."""

    kafka_cert_file: Path | None = None
    """Certificate by which Kafka knows us (mutual TLS); None: none is shown."""
    kafka_key_file: Path | None = None
    """Its private key; None: it stands in the file of the certificate."""
    kafka_password_file: Path | None = None
    """File that holds the password instead; each new connection reads it."""
    rabbitmq_cert_file: Path | None = None
    """Certificate by which RabbitMQ knows us (mutual TLS); None: none is shown."""
    rabbitmq_key_file: Path | None = None
    """Its private key; None: it stands in the file of the certificate."""
    rabbitmq_password_file: Path | None = None
    """File that holds the password of RABBITMQ_URL's user instead; each new connection reads it."""
    artifact_ca_file: Path | None = None
    """Certificates that sign those of an artifact store over https; None: those of the system."""

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        for kind in ("tls", "kafka", "rabbitmq"):
            if getattr(self, f"{kind}_key_file") and not getattr(self, f"{kind}_cert_file"):
                name = kind.upper()
                raise ValueError(
                    f"{name}_KEY_FILE is set without {name}_CERT_FILE: give the certificate, too"
                )
        if (self.tls_http_port or self.tls_hsts_s) and self.tls_cert_file is None:
            raise ValueError(
                "TLS_HTTP_PORT and TLS_HSTS_S are for a balancer with TLS: set TLS_CERT_FILE"
            )
        return self
