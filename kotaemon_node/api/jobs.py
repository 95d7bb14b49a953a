"""Orders to the coordinator: any pod takes them, the one that leads carries them out."""

from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.context import principal, services
from kotaemon_node.api.inputs import JobsQuery
from kotaemon_node.api.knowledge_forms import JobForm, JobList
from kotaemon_node.api.later_forms import LaterList, later_form
from kotaemon_node.api.query import read_query
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.ports.jobs import Job, Order

routes: Final = Blueprint("jobs", __name__)


@routes.get("/v1/jobs")
def list_jobs() -> Response:
    """List the newest orders and what became of them, or what is done later."""
    query = read_query(JobsQuery)
    if query.queue == "later":
        rows = services().later.waiting(principal().tenant, limit=query.limit)
        return json_answer(LaterList([later_form(row) for row in rows]))
    jobs = services().jobs.list(principal().tenant, limit=query.limit)
    return json_answer(JobList([_form(job) for job in jobs]))


@routes.get("/v1/jobs/<id>")
def read_job(id: str) -> Response:
    """Show one order; it is kept for a day after its end."""
    return json_answer(_form(services().jobs.find(principal().tenant, checked_id("job id", id))))


def ordered(kind: str, kb: str, fields: Mapping[str, Any], *, job_id: str | None) -> Response:
    """Give an order and answer 202 with its job; the same one again changes nothing."""
    job_id = job_id or services().ids.new_id()
    order = Order(job_id, kind, principal().tenant, kb, fields)
    answer = json_answer(_form(services().jobs.submit(order)), status=202)
    answer.headers["Location"] = f"/v1/jobs/{job_id}"
    return answer


def _form(job: Job) -> JobForm:
    return JobForm(
        job=job.order.id,
        kind=job.order.kind,
        kb=job.order.kb,
        fields=job.order.fields,
        state=job.state,
        reason=job.reason,
        result=job.result,
        attempts=job.attempts,
        created_at=job.created_at,
        changed_at=job.changed_at,
    )
