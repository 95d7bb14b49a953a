"""Orders that a command gives, and waits for: a job each."""

import time
from typing import Annotated, Any, Final

import typer

from kotaemon_node.cli import service
from kotaemon_node.cli.console import err
from kotaemon_node.cli.service import Place, ServiceError

WaitOption = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Stay until it is done and can be found.")
]
_PATIENCE_S: Final = 300.0
_LOOK_S: Final = 0.3


def finished(place: Place, ordered: dict[str, Any], *, wait: bool) -> dict[str, Any]:
    """Return the job of an order, ended where it is waited for; ``ServiceError``: it failed."""
    job_id = str(ordered["job"])
    if not wait:
        err.print(f"Ordered: job {job_id}.")
        return ordered
    deadline = time.monotonic() + _PATIENCE_S
    with err.status("The coordinator does it …"):
        while True:
            job: dict[str, Any] = service.get(place, f"/v1/jobs/{job_id}")
            if job["state"] == "done":
                return job
            if job["state"] == "failed":
                raise ServiceError(f"It was not done: {str(job['reason']).rstrip('.')}.")
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"Job {job_id} is still {job['state']} after {_PATIENCE_S:.0f} s; it goes on."
                    " Is a coordinator running? `kotaemon ps` shows."
                )
            time.sleep(_LOOK_S)
