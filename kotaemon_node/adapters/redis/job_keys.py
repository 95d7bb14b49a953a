"""The keys of orders of work; their schema is that of ``keys``."""

from dataclasses import dataclass
from typing import Final

JOB_TENANTS: Final = "kn:{jobs}:tenants"


@dataclass(frozen=True, slots=True)
class JobKeys:
    """The keys of a tenant's jobs."""

    tenant: str

    @property
    def queue(self) -> str:
        """Stream."""
        return f"kn:{{jobs}}:{self.tenant}:queue"

    @property
    def index(self) -> str:
        """Sorted set."""
        return f"kn:{{jobs}}:{self.tenant}:index"

    @property
    def dead(self) -> str:
        """Stream."""
        return f"kn:{{jobs}}:{self.tenant}:dead"

    def record(self, job_id: str) -> str:
        """Hash."""
        return f"kn:{{jobs}}:{self.tenant}:job:{job_id}"
