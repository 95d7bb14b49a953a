"""Knowledge: search it, see what a knowledge base holds, change that."""

from collections.abc import Sequence
from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.body import read_body
from kotaemon_node.api.context import knowledge, principal, services
from kotaemon_node.api.inputs import (
    DeleteQuery,
    DocumentQuery,
    DocumentsQuery,
    PublishBody,
    RollbackBody,
    SearchQuery,
)
from kotaemon_node.api.jobs import ordered
from kotaemon_node.api.knowledge_forms import DocumentList, GenerationForm, GenerationList
from kotaemon_node.api.query import read_query
from kotaemon_node.api.queued import Shown, uploads_waiting, with_queued
from kotaemon_node.api.showing import (
    document_form,
    document_row,
    knowledge_form,
    search_answer,
)
from kotaemon_node.domain.errors import Conflict, NotFound, TooLarge
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest

routes: Final = Blueprint("knowledge", __name__)

_DOCUMENT_CHARS_MAX: Final = 4_096  # as paths have
_NUMBERS_TOLD: Final = 50


@routes.get("/v1/search")
def search() -> Response:
    """Find the best passages for a question."""
    query = read_query(SearchQuery)
    found = knowledge().search(
        query.kb, query.q, top_k=query.top_k, min_generation=query.min_generation
    )
    return json_answer(search_answer(found))


@routes.get("/v1/knowledge/<kb>")
def read_knowledge(kb: str) -> Response:
    """Show the generation of a knowledge base that this pod serves."""
    manifest = _manifest(kb)
    return json_answer(knowledge_form(manifest, held=knowledge().held(kb)))


@routes.get("/v1/knowledge/<kb>/generations")
def list_generations(kb: str) -> Response:
    """List the generations that are kept, newest first."""
    known = knowledge()
    rows = known.generations(checked_id("knowledge base", kb))
    served = known.served().get(kb)
    complete = set(known.complete(kb))
    forms = [
        GenerationForm(
            generation=row.generation,
            digest=row.digest,
            parent=row.parent,
            encoder=row.encoder,
            documents=row.documents,
            passages=row.passages,
            created_at=row.created_at,
            served=served is not None and served.digest == row.digest,
            complete=row.generation in complete,
            rolled_back_to=row.rolled_back_to,
        )
        for row in rows
    ]
    return json_answer(GenerationList(kb, forms))


@routes.get("/v1/knowledge/<kb>/documents")
def list_documents(kb: str) -> Response:
    """List the documents of the generation served, and those that were uploaded and wait.

    A `reason` says why one failed; `q` is part of a name or a title. Generation 0 stands for none:
    all that there is waits.
    """
    query = read_query(DocumentsQuery)
    kb = checked_id("knowledge base", kb)
    manifest, documents = _documents(kb)
    wanted = [it for it in documents if _is_wanted(it.entry, query)]
    end = query.offset + query.limit
    return json_answer(
        DocumentList(
            kb=kb,
            generation=manifest.generation if manifest is not None else 0,
            documents=[
                document_row(it.entry, queued=it.queued) for it in wanted[query.offset : end]
            ],
            next_offset=end if end < len(wanted) else None,
        )
    )


@routes.get("/v1/knowledge/<kb>/documents/<path:doc>")
def read_document(kb: str, doc: str) -> Response:
    """Show a document with its text; its name may hold slashes.

    With `revision` it is shown as it was, without passages, while a generation that has it is kept.
    """
    query = read_query(DocumentQuery)
    kb = checked_id("knowledge base", kb)
    manifest, documents = _documents(kb)
    found = next((it for it in documents if it.entry.document == doc), None)
    generation = manifest.generation if manifest is not None else 0
    if query.revision is not None and (found is None or query.revision != found.entry.revision):
        old = knowledge().revision(kb, doc, query.revision)
        return json_answer(document_form(kb, old.generation, old.entry, text=old.text))
    if found is None:
        raise NotFound("the knowledge base has no document of this name")
    if found.entry.status != "indexed":
        return json_answer(document_form(kb, generation, found.entry, queued=found.queued))
    text, passages = knowledge().document(kb, doc)
    form = document_form(
        kb, generation, found.entry, queued=found.queued, text=text, passages=passages
    )
    return json_answer(form)


@routes.delete("/v1/knowledge/<kb>/documents/<path:doc>")
def delete_document(kb: str, doc: str) -> Response:
    """Remove a document's file and end its retrieval; with ``purge``, every trace of it.

    A job does it. Purging also withdraws the document's citations, and works when the file is gone.
    """
    query = read_query(DeleteQuery)
    if len(doc) > _DOCUMENT_CHARS_MAX:
        raise TooLarge(f"the name of a document has at most {_DOCUMENT_CHARS_MAX} characters")
    kind = "purge" if query.purge == "true" else "delete"
    kb = _manifest(kb).kb
    return ordered(kind, kb, {"document": doc}, job_id=query.job)


@routes.post("/v1/knowledge/<kb>/rollback")
def roll_back(kb: str) -> Response:
    """Serve an older generation's content again, as a new generation.

    A job does it. Files that differ from it are not followed until they change once more, or until
    the folder is published again.
    """
    body = read_body(RollbackBody)
    served = _manifest(kb)
    possible = [number for number in knowledge().complete(served.kb) if number != served.generation]
    if body.generation not in possible and body.generation <= served.generation:
        told = ", ".join(str(number) for number in possible[:_NUMBERS_TOLD]) or "none"
        raise Conflict(f"generation {body.generation} is not one to go back to; possible: {told}")
    return ordered("rollback", served.kb, {"generation": body.generation}, job_id=body.job)


@routes.post("/v1/knowledge/<kb>/publish")
def publish(kb: str) -> Response:
    """Publish the folder as it is now: ends a rollback; with ``force`` past the gate.

    A job does it. Without ``force`` it fails where the gate holds the build, with the reason.
    """
    body = read_body(PublishBody)
    return ordered("publish", _manifest(kb).kb, {"force": body.force}, job_id=body.job)


def _is_wanted(entry: DocumentEntry, query: DocumentsQuery) -> bool:
    if query.status not in (None, entry.status):
        return False
    words = query.q.casefold()
    return words in entry.document.casefold() or words in entry.title.casefold()


def _manifest(kb: str) -> Manifest:
    return knowledge().manifest(checked_id("knowledge base", kb))


def _documents(kb: str) -> tuple[Manifest | None, Sequence[Shown]]:
    """Return the generation served and what is to be listed; ``NotFound`` for nothing at all."""
    known = knowledge()
    uploads = uploads_waiting(services().jobs, principal().tenant, kb)
    try:
        manifest = known.manifest(kb)
    except NotFound:
        if not uploads:
            raise
        manifest = None
    return manifest, with_queued(manifest, uploads)
