"""The coordinator's own settings beside those it shares with the workers."""

from typing import Any, Literal

from pydantic import Field, model_validator

from kotaemon_node.settings import Settings


class CoordinatorSettings(Settings):
    """Read once, at the start of the process."""

    coordinator_host: str = "127.0.0.1"
    """Address on which health checks and metrics are served."""
    coordinator_port: int = Field(default=8090, ge=1, le=65535)
    coordinator_artifact_url: str = ""
    """Where the coordinator keeps artifacts that workers read through it; empty: ARTIFACT_URL."""
    coordinator_redis_url: str = ""
    """``REDIS_URL`` with the coordinator's own user (least rights); empty: the same for all."""
    coordinator_role: Literal["coordinator", "build-worker"] = "coordinator"
    """What the program is; a build worker reads and encodes documents for the one that leads."""
    work_priority: Literal["low", "normal"] = "low"
    """How the work of ingest is weighed against the pods on the same machine."""
    gate_tolerance: float = Field(default=0.0, ge=0.0, le=1.0)
    """By how much the recall on a probe set may fall before a build is held."""
    questions_in_metrics: bool = False
    """Whether the questions asked most often are told as metrics, word for word."""

    @model_validator(mode="before")
    @classmethod
    def _own_user(cls, given: Any) -> Any:
        own = given.get("coordinator_redis_url") if isinstance(given, dict) else None
        return {**given, "redis_url": own} if own else given
