"""What ``GET /v1/limits`` answers."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class LimitForm:
    """How one limit stands."""

    scope: Literal["principal", "tenant"]
    """Whose it is: the caller's own, or that of its whole tenant."""
    name: Literal["requests", "tokens", "cost", "streams", "upload_bytes"]
    limit: float
    used: float
    """Now; of requests and tokens in the last 60 seconds, of cost and bytes since midnight UTC."""
    window_s: int | None
    """null: what is open at once."""
    reset_s: float
    """After how long nothing of it counts any more, if nothing more is used."""


@dataclass(frozen=True, slots=True)
class LimitsForm:
    """What the caller may use, and what it has used; empty where nothing is limited."""

    tenant: str
    subject: str
    limits: list[LimitForm]
