"""Settings of limits; part of ``Settings``."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from kotaemon_node.domain.quotas import Row


class LimitSettings(BaseSettings):
    """How much may be used; 0: as much as one likes. A file says more than these."""

    limits_file: Path | None = None
    """YAML or JSON file of limits by role, tenant and principal; read anew when it changes."""
    limit_requests_per_minute: int = Field(default=0, ge=0, le=10**9)
    """Requests of one principal, where the file says nothing of them."""
    limit_tokens_per_minute: int = Field(default=0, ge=0, le=10**9)
    """Tokens that language models read and write for one principal."""
    limit_cost_per_day: float = Field(default=0.0, ge=0.0, le=1e9)
    """What they may cost it a day (UTC), in the currency of the prices."""
    limit_streams: int = Field(default=0, ge=0, le=10**9)
    """Streams and connections that one principal may have at once."""
    limit_upload_bytes_per_day: int = Field(default=0, ge=0, le=10**9)
    """Bytes that one principal may upload a day."""
    limit_turn_tokens: int = Field(default=4_000, ge=1, le=10**8)
    """Tokens that are reserved for a turn until it is known what it took; 1 at least."""
    limit_by_address: bool = False
    """Whether, while ``AUTH_MODE`` is ``open``, each client address is a principal of its own."""
    limit_refused_per_minute: int = Field(default=30, ge=0, le=10**9)
    """Credentials of one address that may be refused; 0: as many as one likes."""
    balancer_networks: str = Field(default="", pattern=r"^[0-9A-Fa-f.:/, ]*$")
    """Networks of the balancers, whose entry of ``X-Forwarded-For`` pods take: ``10.0.0.0/8,…``."""

    @property
    def limits_of_principals(self) -> Row:
        """What each principal may by these settings."""
        named = {
            "requests_per_minute": self.limit_requests_per_minute,
            "tokens_per_minute": self.limit_tokens_per_minute,
            "cost_per_day": self.limit_cost_per_day,
            "streams": self.limit_streams,
            "upload_bytes_per_day": self.limit_upload_bytes_per_day,
        }
        return {name: value for name, value in named.items() if value}

    @property
    def limits_are_on(self) -> bool:
        """Whether anything of a principal or tenant may be limited."""
        return self.limits_file is not None or bool(self.limits_of_principals)

    @model_validator(mode="after")
    def _addresses_of_something(self) -> Self:
        if self.limit_by_address and not self.limits_are_on:
            raise ValueError(
                "LIMIT_BY_ADDRESS says by whom is counted, and nothing says how much they may: set"
                " LIMIT_REQUESTS_PER_MINUTE, another LIMIT_… or LIMITS_FILE"
            )
        return self
