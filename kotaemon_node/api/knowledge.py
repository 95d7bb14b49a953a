"""Knowledge: search it, open a cited source, see what a knowledge base holds."""

from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer, kept
from kotaemon_node.api.context import services
from kotaemon_node.api.forms import DocumentList, GenerationForm, GenerationList
from kotaemon_node.api.inputs import DocumentQuery, DocumentsQuery, SearchQuery
from kotaemon_node.api.query import path_number, read_query
from kotaemon_node.api.showing import (
    document_form,
    document_row,
    knowledge_form,
    search_answer,
    source_form,
)
from kotaemon_node.domain.errors import NotFound
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest

routes: Final = Blueprint("knowledge", __name__)

_YEAR_S: Final = 365 * 86400


@routes.get("/v1/search")
def search() -> Response:
    """Find the best passages for a question."""
    query = read_query(SearchQuery)
    found = services().knowledge.search(
        query.kb, query.q, top_k=query.top_k, min_generation=query.min_generation
    )
    return json_answer(search_answer(found))


@routes.get("/v1/sources/<kb>/<generation>/<id>")
def read_source(kb: str, generation: str, id: str) -> Response:
    """Open a cited passage in its document as it was then."""
    kb = checked_id("knowledge base", kb)
    passage = checked_id("passage id", id)
    number = path_number("generation", generation)
    source = services().knowledge.source(kb, number, passage)
    # The address names the revision and the place, so what it opens never changes.
    cache_control = f"{_cache_scope()}, max-age={_YEAR_S}, immutable"
    return kept(json_answer(source_form(passage, source)), cache_control=cache_control)


@routes.get("/v1/knowledge/<kb>")
def read_knowledge(kb: str) -> Response:
    """Show the generation of a knowledge base that this pod serves."""
    return json_answer(knowledge_form(_manifest(kb)))


@routes.get("/v1/knowledge/<kb>/generations")
def list_generations(kb: str) -> Response:
    """List the generations that are kept, newest first."""
    knowledge = services().knowledge
    rows = knowledge.generations(checked_id("knowledge base", kb))
    served = knowledge.served().get(kb)
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
        )
        for row in rows
    ]
    return json_answer(GenerationList(kb, forms))


@routes.get("/v1/knowledge/<kb>/documents")
def list_documents(kb: str) -> Response:
    """List the documents of the generation served, with those that failed and why."""
    query = read_query(DocumentsQuery)
    manifest = _manifest(kb)
    entries = [entry for entry in manifest.documents if query.status in (None, entry.status)]
    end = query.offset + query.limit
    return json_answer(
        DocumentList(
            kb=kb,
            generation=manifest.generation,
            documents=[document_row(entry) for entry in entries[query.offset : end]],
            next_offset=end if end < len(entries) else None,
        )
    )


@routes.get("/v1/knowledge/<kb>/documents/<path:doc>")
def read_document(kb: str, doc: str) -> Response:
    """Show a document with its text; its name may hold slashes."""
    query = read_query(DocumentQuery)
    manifest = _manifest(kb)
    entry = _entry(manifest, doc)
    if query.revision is not None and query.revision != entry.revision:
        raise NotFound(f"the document has revision {entry.revision} now")
    if entry.status != "indexed":
        return json_answer(document_form(manifest, entry, text=None, passages=()))
    text, passages = services().knowledge.document(kb, doc)
    return json_answer(document_form(manifest, entry, text=text, passages=passages))


def _manifest(kb: str) -> Manifest:
    return services().knowledge.manifest(checked_id("knowledge base", kb))


def _entry(manifest: Manifest, document: str) -> DocumentEntry:
    for entry in manifest.documents:
        if entry.document == document:
            return entry
    raise NotFound("the knowledge base has no document of this name")


def _cache_scope() -> str:
    # Shared caches on the way may keep what needs no credential, and nothing else.
    return "public" if services().auth_mode == "open" else "private"
