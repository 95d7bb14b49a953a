"""Domain values to the forms in which users read them."""

from collections.abc import Mapping, Sequence
from typing import Any

from kotaemon_node.api.book_forms import TraceForm, TraceTurn
from kotaemon_node.api.errors import ErrorBody
from kotaemon_node.api.forms import (
    AskAnswer,
    ChatAnswer,
    PendingForm,
    Readiness,
    SessionForm,
    Unready,
)
from kotaemon_node.api.knowledge_forms import (
    DocumentForm,
    DocumentPassage,
    DocumentRow,
    KnowledgeForm,
    PassageForm,
    SearchAnswer,
    SourceForm,
)
from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.knowledge import (
    DocumentEntry,
    Hit,
    Manifest,
    Passage,
    SearchResult,
    Source,
    source_path,
)
from kotaemon_node.domain.lineage import mean_recall, refused_of, rolled_back_to
from kotaemon_node.domain.session import SessionView, Turn
from kotaemon_node.ports.feedback import Feedback


def unready(readiness: Readiness, error: ErrorBody) -> Unready:
    """Show why a pod cannot serve."""
    fields: dict[str, Any] = {name: getattr(readiness, name) for name in Readiness.__slots__}
    return Unready(error=error, **fields)


def chat_answer(session_id: str, turn: Turn) -> ChatAnswer:
    """Show a turn as ``/chat`` does."""
    return ChatAnswer(
        response=turn.answer,
        session_id=session_id,
        turn_id=turn.turn_id,
        sources=turn.sources,
        trace_id=turn.trace_id,
        state=turn.state,
        degraded=turn.degraded,
        handoff=turn.handoff,
    )


def ask_answer(session_id: str, turn: Turn) -> AskAnswer:
    """Show a turn as ``/ask`` does."""
    return AskAnswer(
        answer=turn.answer,
        source=turn.sources,
        trace_id=turn.trace_id,
        session_id=session_id,
        turn_id=turn.turn_id,
        state=turn.state,
        degraded=turn.degraded,
    )


def session_form(view: SessionView, feedback: Mapping[str, Feedback]) -> SessionForm:
    """Show a session, with what was said of its turns."""
    made: dict[str, Any] = {
        "feedback": {turn_id: said.rating for turn_id, said in feedback.items()}
    }
    made["pending"] = _pending_form(view.state)
    names = [name for name in SessionForm.__slots__ if name not in made]
    return SessionForm(**{name: getattr(view, name) for name in names}, **made)


def _pending_form(state: DialogueState) -> PendingForm | None:
    if state.pending is not None:
        return PendingForm(state.pending.asked_by, "yes", state.pending.summary, ())
    if state.wanted is not None:
        return PendingForm(state.wanted.asked_by, "value", "", state.wanted.choices)
    return None


def trace_form(record: Mapping[str, Any], *, among: Sequence[Mapping[str, Any]]) -> TraceForm:
    """Show an audit record, which may have been kept by another version of the program."""
    turns = [TraceTurn(**{name: row[name] for name in TraceTurn.__slots__}) for row in among]
    generation = record["steps"].get("generation") or {}
    fields: dict[str, Any] = {name: record.get(name) for name in TraceForm.__slots__}
    fields["cut"] = bool(fields["cut"])
    fields["prompt"] = generation.get("messages")
    return TraceForm(**{**fields, "turns": turns})


def search_answer(result: SearchResult) -> SearchAnswer:
    """Show what a search found."""
    hits = [_passage_form(result, hit) for hit in result.hits]
    return SearchAnswer(result.kb, result.generation, result.digest, hits)


def _passage_form(result: SearchResult, hit: Hit) -> PassageForm:
    passage = hit.passage
    return PassageForm(
        id=passage.id,
        document=passage.document,
        revision=passage.revision,
        title=passage.title,
        page=passage.page,
        heading=passage.heading,
        span=passage.span,
        kind=passage.kind,
        text=passage.text,
        score=hit.score,
        url=source_path(kb=result.kb, generation=result.generation, passage=passage.id),
    )


def source_form(passage: str, source: Source, quotes: Sequence[tuple[int, int]] = ()) -> SourceForm:
    """Show a cited passage in its document."""
    return SourceForm(
        id=passage,
        kb=source.kb,
        generation=source.generation,
        document=source.document,
        revision=source.revision,
        title=source.title,
        span=source.span,
        text=source.text,
        quotes=list(quotes),
    )


def knowledge_form(manifest: Manifest, *, held: HeldBuild | None) -> KnowledgeForm:
    """Show a knowledge base."""
    indexed = [entry for entry in manifest.documents if entry.status == "indexed"]
    return KnowledgeForm(
        kb=manifest.kb,
        generation=manifest.generation,
        digest=manifest.digest,
        parent=manifest.parent,
        encoder=manifest.encoder,
        documents=len(indexed),
        failed=sum(entry.status == "failed" for entry in manifest.documents),
        passages=sum(entry.passages for entry in indexed),
        created_at=manifest.created_at,
        rolled_back_to=rolled_back_to(manifest),
        refused=sorted(refused_of(manifest)),
        recall=mean_recall(manifest),
        held=held,
    )


def document_row(entry: DocumentEntry, *, queued: str | None = None) -> DocumentRow:
    """Show a document in a list; ``queued`` is a revision of it that waits to be read."""
    shown = {at: getattr(entry, at) for at in DocumentRow.__slots__ if at != "queued_revision"}
    return DocumentRow(queued_revision=queued, **shown)


def document_form(
    kb: str,
    generation: int,
    entry: DocumentEntry,
    *,
    queued: str | None = None,
    text: str | None = None,
    passages: Sequence[Passage] = (),
) -> DocumentForm:
    """Show a document whole."""
    shared = set(DocumentForm.__slots__) & set(DocumentEntry.__slots__) - {"passages", "text"}
    places = [DocumentPassage(p.id, p.span, p.heading, p.page, p.kind) for p in passages]
    return DocumentForm(
        kb=kb,
        generation=generation,
        queued_revision=queued,
        text=text,
        passages=places,
        **{name: getattr(entry, name) for name in shared},
    )
