"""Questions that were not answered well: listed, answered for everybody, or dismissed."""

from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.body import read_body
from kotaemon_node.api.context import knowledge, principal, services
from kotaemon_node.api.draft_forms import (
    AcceptBody,
    DraftForm,
    DraftList,
    DraftQuery,
    DraftsQuery,
)
from kotaemon_node.api.faq import write_entry
from kotaemon_node.api.faq_forms import FaqChangeQuery
from kotaemon_node.api.people_services import FaqDraftService
from kotaemon_node.api.query import read_query
from kotaemon_node.domain.errors import NotFound
from kotaemon_node.domain.faq_entries import FaqEntry
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.limits import FAQ_VARIANTS_MAX
from kotaemon_node.engine.draft_desk import Suggestion
from kotaemon_node.engine.drafting import FaqDraft

routes: Final = Blueprint("faq_drafts", __name__)


@routes.get("/v1/faq/drafts")
def list_drafts() -> Response:
    """List questions that were not answered well, those asked most often first.

    Wordings of one question are one draft. What an entry answers by now is left out.
    """
    query = read_query(DraftsQuery)
    page = _desk().page(principal().tenant, query.kb, offset=query.offset, limit=query.limit)
    forms = [_form(query.kb, draft, suggestion) for draft, suggestion in page.drafts]
    return json_answer(DraftList(query.kb, forms, page.total, page.next_offset))


@routes.post("/v1/faq/drafts/<id>/accept")
def accept_draft(id: str) -> Response:
    """Answer a question for everybody: an entry of the FAQ. A job writes it."""
    query, body = read_query(FaqChangeQuery), read_body(AcceptBody)
    draft = _found(query.kb, id)
    question = body.question or draft.question
    others = [one for one in (draft.question, *draft.variants) if one != question]
    entry = FaqEntry.of(question, body.answer, tags=body.tags, variants=others[:FAQ_VARIANTS_MAX])
    answer = write_entry(query.kb, f"draft-{draft.id}", entry, job=query.job)
    # Not removed: where the job fails, it is shown again when it is asked again.
    _desk().dismiss(principal().tenant, query.kb, draft)
    return answer


@routes.delete("/v1/faq/drafts/<id>")
def dismiss_draft(id: str) -> Response:
    """Show a question no more, until it was asked some times again."""
    query = read_query(DraftQuery)
    _desk().dismiss(principal().tenant, query.kb, _found(query.kb, id))
    return Response(status=204)


def _found(kb: str, draft_id: str) -> FaqDraft:
    return _desk().find(principal().tenant, kb, checked_id("draft id", draft_id))


def _desk() -> FaqDraftService:
    knowledge()  # refuses a tenant that has none
    desk = services().drafts
    if desk is None:
        raise NotFound("no drafts are kept here")
    return desk


def _form(kb: str, draft: FaqDraft, suggestion: Suggestion) -> DraftForm:
    return DraftForm(
        id=draft.id,
        kb=kb,
        question=draft.question,
        variants=draft.variants,
        asked=draft.asked,
        down=draft.down,
        first_at=draft.first_at,
        last_at=draft.last_at,
        examples=draft.examples,
        suggestion=suggestion.text,
        suggested_by=suggestion.by,
        sources=suggestion.sources,
    )
