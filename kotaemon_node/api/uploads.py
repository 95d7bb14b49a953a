"""Uploads: files of a form become orders to put them into the knowledge folder."""

from typing import Final

from flask import Blueprint, Response, request

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.audited_routes import note
from kotaemon_node.api.context import knowledge, principal, services, shared
from kotaemon_node.api.inputs import UploadQuery
from kotaemon_node.api.knowledge_forms import Uploaded, UploadForm
from kotaemon_node.api.limited import count_upload
from kotaemon_node.api.multipart import Arrivals, Received
from kotaemon_node.api.query import read_query
from kotaemon_node.domain.artifact_names import upload_name
from kotaemon_node.domain.errors import Invalid, Overloaded
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.ports.jobs import UPLOAD, Order

routes: Final = Blueprint("uploads", __name__)


@routes.post("/v1/knowledge/<kb>/documents")
def upload_documents(kb: str) -> Response:
    """Put files into the knowledge folder, where they are read like any others.

    Each is a job, which ends when a generation holds the document or says why it cannot be read.
    A `path` field before a file names the document; without one the file's name does. The
    top-level fields are those of the first file. The same bytes again change nothing.
    """
    knowledge()  # refuses a tenant that has none, before a byte is read
    kb = checked_id("knowledge base", kb)
    query = read_query(UploadQuery)
    desk = services().uploads
    with (
        shared().uploads.slot(),
        Arrivals(
            kb,
            folder=desk.folder,
            refusal_of=desk.refusal_of,
            native=desk.native,
            clock=services().clock,
        ) as arrivals,
    ):
        files = arrivals.read(request)
        count_upload(sum(file.size_bytes for file in files))
        if query.job is not None and len(files) > 1:
            raise Invalid("job names the job of one file; leave it out, or upload one by one")
        uploads = [order_upload(kb, file, query.job) for file in files]
    first = uploads[0]
    note(target=f"{kb}/{first.document}", documents=len(uploads), revision=first.revision)
    form = UploadForm(first.document, first.revision, first.job, uploads)
    answer = json_answer(form, status=202)
    answer.headers["Location"] = f"/v1/jobs/{first.job}"
    return answer


def order_upload(kb: str, file: Received, job_id: str | None, **told: str) -> Uploaded:
    """Store the bytes, then order them into the folder: an order whose bytes are not there fails.

    Bytes without an order are removed after a while, by whoever leads. ``told`` stands in the
    order for those who look at it.
    """
    job_id = job_id or services().ids.new_id()
    tenant, room = principal().tenant, services().uploads.room
    sent = {"document": file.document, "revision": file.revision, "bytes": file.size_bytes}
    name = upload_name(tenant, job_id, file.revision)
    room.put(name, file.path)
    try:
        services().jobs.submit(Order(job_id, UPLOAD, tenant, kb, {**told, **sent}))
    except Overloaded:
        # Not accepted, for certain: who tries again sends it again, under another job.
        room.discard(name)
        raise
    return Uploaded(file.document, file.revision, job_id)
