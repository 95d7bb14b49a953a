"""The coordinator's own settings beside those it shares with the workers."""

from typing import Literal

from pydantic import Field

from kotaemon_node.settings import Settings


class CoordinatorSettings(Settings):
    """Read once, at the start of the process."""

    coordinator_host: str = "127.0.0.1"
    """Address on which health checks and metrics are served."""
    coordinator_port: int = Field(default=8090, ge=1, le=65535)
    coordinator_artifact_url: str = ""
    """Where the coordinator keeps artifacts that workers read through it; empty: ARTIFACT_URL."""
    coordinator_role: Literal["coordinator", "build-worker"] = "coordinator"
    """What the program is; a build worker reads and encodes documents for the one that leads."""
    work_priority: Literal["low", "normal"] = "low"
    """How the work of ingest is weighed against the pods on the same machine."""
    gate_tolerance: float = Field(default=0.0, ge=0.0, le=1.0)
    """By how much the recall on a probe set may fall before a build is held."""
    questions_in_metrics: bool = False
    """Whether the questions asked most often are told as metrics, word for word."""
