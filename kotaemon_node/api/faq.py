"""The entries of an FAQ: listed, and changed one by one. Each is a document; a change is a job."""

import re
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import structlog
from flask import Blueprint, Response
from werkzeug.routing import BaseConverter

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.body import read_body
from kotaemon_node.api.context import faq, knowledge, principal, services
from kotaemon_node.api.faq_forms import (
    FaqBody,
    FaqChangeQuery,
    FaqEntryQuery,
    FaqForm,
    FaqList,
    FaqOrdered,
    FaqQuery,
    FaqState,
)
from kotaemon_node.api.jobs import ordered
from kotaemon_node.api.multipart import Received
from kotaemon_node.api.query import read_query
from kotaemon_node.api.uploads import order_upload
from kotaemon_node.domain.errors import (
    Conflict,
    Invalid,
    NotFound,
    StoreUnavailable,
    TooLarge,
    Unavailable,
)
from kotaemon_node.domain.faq_entries import FaqEntry, FaqPage, FaqRow, faq_document, faq_id
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.knowledge import source_path
from kotaemon_node.ports.jobs import UPLOAD, Job

_log = structlog.get_logger(__name__)

routes: Final = Blueprint("faq", __name__)

_NOTHING: Final = FaqPage(generation=0, rows=(), total=0, complete=True)
_KINDS: Final = frozenset({UPLOAD, "delete", "purge"})
# Entries of tables have the ids of their passages.
_OF_A_TABLE: Final = re.compile(r"[0-9a-f]{16}-\d+-\d+")


class EntryId(BaseConverter):
    """The id of an entry in a path. Nobody could read one that is called as its neighbour is."""

    regex = r"(?!drafts$)[^/]+"


@routes.get("/v1/faq")
def list_entries() -> Response:
    """List a knowledge base's entries, those changed last first; with `q`, those of these words.

    New ones that are not served yet stand in front. Entries of tables are listed as well, and
    changed in their document. Words are looked for in questions, tags and ids, by their beginnings.
    """
    query = read_query(FaqQuery)
    waiting = _waiting(query.kb)
    coming = _coming(query.kb, waiting) if query.q is None else []
    ahead = coming[query.offset : query.offset + query.limit]
    page = _NOTHING
    try:
        page = faq().page(
            query.kb,
            wanted=query.q or "",
            offset=max(0, query.offset - len(coming)),
            limit=query.limit - len(ahead),
            min_generation=query.min_generation,
        )
    except NotFound:
        if not coming:
            raise
    rows = [_form(query.kb, page.generation, row, waiting) for row in page.rows]
    end, total = query.offset + query.limit, page.total + len(coming)
    return json_answer(
        FaqList(
            kb=query.kb,
            generation=page.generation,
            entries=[*ahead, *rows],
            total=total,
            complete=page.complete,
            next_offset=end if end < total else None,
        )
    )


@routes.get("/v1/faq/<entry:id>")
def read_entry(id: str) -> Response:
    """Show one entry as it is served, or as it will be where it is not yet."""
    query = read_query(FaqEntryQuery)
    entry_id = checked_id("FAQ id", id)
    waiting = _waiting(query.kb)
    generation = 0
    row: FaqRow | None = None
    try:
        generation = knowledge().manifest(query.kb).generation
        row = faq().row(query.kb, entry_id, min_generation=query.min_generation)
    except NotFound:
        if not waiting:
            raise
    if row is not None:
        return json_answer(_form(query.kb, generation, row, waiting))
    for form in _coming(query.kb, waiting):
        if form.id == entry_id:
            return json_answer(form)
    raise NotFound("the knowledge base has no FAQ entry of this id")


@routes.put("/v1/faq/<entry:id>")
def put_entry(id: str) -> Response:
    """Write an entry: a document of its knowledge base, so a change is a new generation.

    A job does it, and ends when a generation holds the entry. The same entry again changes nothing.
    """
    query, body = read_query(FaqChangeQuery), read_body(FaqBody)
    entry = FaqEntry.of(body.question, body.answer, tags=body.tags, variants=body.variants)
    return write_entry(query.kb, id, entry, job=query.job)


def write_entry(kb: str, id: str, entry: FaqEntry, *, job: str | None) -> Response:
    """Order an entry and say under which job; raises for one that cannot be kept."""
    knowledge()  # refuses a tenant that has none
    document = _own_document(kb, id)
    if reason := entry.too_large():
        raise TooLarge(reason)
    if reason := entry.problem():
        raise Invalid(reason)
    desk = services().uploads
    try:
        with tempfile.TemporaryFile(dir=desk.folder) as raw:
            file = Received(document, raw)
            desk.native(_written, file, entry.to_json())
            uploaded = order_upload(kb, file, job, question=entry.question)
    except OSError as error:
        raise Unavailable(f"this pod cannot keep the entry: {error.strerror}") from error
    form = FaqOrdered(id, kb, document, uploaded.revision, uploaded.job)
    answer = json_answer(form, status=202)
    answer.headers["Location"] = f"/v1/jobs/{uploaded.job}"
    return answer


@routes.delete("/v1/faq/<entry:id>")
def delete_entry(id: str) -> Response:
    """Remove an entry and its file. A job does it."""
    query = read_query(FaqChangeQuery)
    document = _own_document(query.kb, id)
    try:
        known = any(it.document == document for it in knowledge().manifest(query.kb).documents)
    except NotFound:
        known = False
    if not known and document not in _waiting(query.kb):
        raise NotFound("the knowledge base has no FAQ entry of this id")
    return ordered("delete", query.kb, {"document": document}, job_id=query.job)


def _own_document(kb: str, entry_id: str) -> str:
    """Return the document of an entry that can be changed by its id."""
    if _OF_A_TABLE.fullmatch(entry_id):
        raise Conflict("this is the id of an entry in a table; change it in the table's document")
    return faq_document(kb, entry_id)


def _written(file: Received, content: bytes) -> None:
    file.take(content)
    file.file.flush()


def _waiting(kb: str) -> Mapping[str, Job]:
    """Return document to the newest order about it that waits. Nothing where the queue is away."""
    knowledge()  # refuses a tenant that has none
    try:
        jobs = services().jobs.waiting(principal().tenant)
    except StoreUnavailable as error:
        # What is served can be listed all the same.
        _log.warning("orders_not_listed", reason=str(error))
        return {}
    return {
        str(job.order.fields.get("document")): job
        for job in jobs
        if job.order.kb == kb and job.order.kind in _KINDS
    }


def _coming(kb: str, waiting: Mapping[str, Job]) -> list[FaqForm]:
    """Return the entries that are not served yet, newest first."""
    new = {
        document: job
        for document, job in waiting.items()
        if job.order.kind == UPLOAD and faq_id(document) is not None
    }
    if new:
        try:
            served = knowledge().manifest(kb)
        except NotFound:
            served = None
        for entry in served.documents if served is not None else ():
            new.pop(entry.document, None)
    return [_coming_form(kb, document, job) for document, job in reversed(new.items())]


def _coming_form(kb: str, document: str, job: Job) -> FaqForm:
    fields = job.order.fields
    return FaqForm(
        id=faq_id(document) or "",
        kb=kb,
        question=str(fields.get("question", "")),
        answer="",
        tags=(),
        variants=(),
        document=document,
        revision=str(fields.get("revision", "")),
        managed=True,
        state="queued",
        reason=None,
        job=job.order.id,
        generation=0,
        changed_at=datetime.fromtimestamp(job.created_at, UTC).isoformat(timespec="milliseconds"),
        url=None,
    )


def _form(kb: str, generation: int, row: FaqRow, waiting: Mapping[str, Job]) -> FaqForm:
    job = waiting.get(row.document)
    entry = row.entry or FaqEntry("", "")
    state = _state(row, job)
    url = None
    if row.passage is not None:
        url = source_path(kb=kb, generation=generation, passage=row.passage)
    return FaqForm(
        id=row.id,
        kb=kb,
        question=entry.question,
        answer=entry.answer,
        tags=entry.tags,
        variants=entry.variants,
        document=row.document,
        revision=row.revision,
        managed=row.managed,
        state=state,
        reason=row.reason,
        job=job.order.id if job is not None and state in {"changing", "removing"} else None,
        generation=generation,
        changed_at=row.changed_at,
        url=url,
    )


def _state(row: FaqRow, job: Job | None) -> FaqState:
    if job is not None and job.order.kind != UPLOAD:
        return "removing"
    if job is not None and job.order.fields.get("revision") != row.revision:
        return "changing"
    return "failed" if row.entry is None else "live"
