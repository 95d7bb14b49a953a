"""Shows the drafts of an FAQ with what may be answered to them, and notes what became of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from kotaemon_node.domain.acting_limits import FAQ_DRAFT_TURNS_READ
from kotaemon_node.domain.errors import Gone, NotFound, SessionNotFound, Unavailable
from kotaemon_node.domain.handoff import ENDED
from kotaemon_node.domain.knowledge import SearchResult, source_path
from kotaemon_node.domain.limits import FAQ_ANSWER_CHARS_MAX
from kotaemon_node.domain.session import Principal, SessionKey, SessionView, Turn
from kotaemon_node.engine.drafting import Closeness, FaqDraft, drafts_of
from kotaemon_node.engine.extractive import extract
from kotaemon_node.engine.faq import faq_answer
from kotaemon_node.ports.faq_drafts import Example, FaqDrafts
from kotaemon_node.ports.sessions import SessionStore

Search = Callable[[str, str, str], SearchResult]
"""Returns a tenant's best passages for a question; ``NotFound``, ``Unavailable``."""

_SESSIONS_LOOKED_AT: Final = 2
_PASSAGE_CHARS_MAX: Final = 600


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What may be answered. ``by``: an ``agent`` answered so, or the best ``passages`` say it."""

    text: str
    by: Literal["agent", "passages", ""]
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DraftPage:
    """Some drafts, each with a suggestion; ``total`` are all that are wanted."""

    drafts: Sequence[tuple[FaqDraft, Suggestion]]
    total: int
    next_offset: int | None


class FaqDraftDesk:
    """``api.people_services.FaqDraftService``. Thread safe."""

    def __init__(
        self, drafts: FaqDrafts, *, sessions: SessionStore, search: Search, closeness: Closeness
    ) -> None:
        self._drafts = drafts
        self._sessions = sessions
        self._search = search
        self._closeness = closeness

    def page(self, tenant: str, kb: str, *, offset: int, limit: int) -> DraftPage:
        """See the protocol."""
        wanted = [draft for draft in self._all(tenant, kb) if draft.wanted]
        shown = []
        for draft in wanted[offset : offset + limit]:
            suggestion = self._suggested(tenant, kb, draft)
            if suggestion is not None:
                shown.append((draft, suggestion))
        end = offset + limit
        return DraftPage(shown, len(wanted), end if end < len(wanted) else None)

    def find(self, tenant: str, kb: str, draft_id: str) -> FaqDraft:
        """See the protocol."""
        for draft in self._all(tenant, kb):
            if draft_id in draft.ids:
                return draft
        raise NotFound("the knowledge base has no draft of this id")

    def dismiss(self, tenant: str, kb: str, draft: FaqDraft) -> None:
        """See the protocol."""
        self._drafts.dismiss(tenant, kb, draft.ids)

    def _all(self, tenant: str, kb: str) -> list[FaqDraft]:
        return drafts_of(self._drafts.rows(tenant, kb), self._closeness)

    def _suggested(self, tenant: str, kb: str, draft: FaqDraft) -> Suggestion | None:
        """Return what may be answered; None where an entry answers it by now."""
        try:
            found = self._search(tenant, kb, draft.question)
        except (NotFound, Unavailable):
            found = SearchResult(kb, generation=0, digest="", hits=())
        if faq_answer(draft.question, found.hits) is not None:
            return None
        said = next(
            filter(None, (self._said(tenant, it) for it in draft.examples[:_SESSIONS_LOOKED_AT])),
            "",
        )
        if said:
            return Suggestion(said[:FAQ_ANSWER_CHARS_MAX], "agent")
        if not found.hits:
            return Suggestion("", "")
        answer = extract(draft.question, found.hits, evidence_min=0.0)
        best = " ".join(one.text.strip() for one in answer.sentences)
        cited = answer.cited if best else found.hits[:1]
        text = best or found.hits[0].passage.text[:_PASSAGE_CHARS_MAX]
        urls = (
            source_path(kb=kb, generation=found.generation, passage=hit.passage.id) for hit in cited
        )
        return Suggestion(text[:FAQ_ANSWER_CHARS_MAX], "passages", tuple(urls))

    def _said(self, tenant: str, example: Example) -> str:
        """Return what a person answered in that session; "" where nobody did, or it is gone."""
        try:
            view = self._sessions.load(
                SessionKey(tenant, example.session_id),
                Principal(tenant, "", "system"),
                after_version=max(0, example.version - 1),
                limit=FAQ_DRAFT_TURNS_READ,
            )
        except (SessionNotFound, Gone, Unavailable):
            return ""
        return "\n".join(_answers_of_people(view, example))


def _answers_of_people(view: SessionView, example: Example) -> list[str]:
    said: list[str] = []
    for turn in view.turns:
        if turn.turn_id == example.turn_id:
            continue
        if turn.author:
            said.append(turn.answer)
        elif turn.event == ENDED or _about_something_else(turn):
            break
    return said


def _about_something_else(turn: Turn) -> bool:
    """Whether the bot went on with another question: what people say then is about that."""
    return turn.by_bot and bool(turn.answer) and not turn.unanswered and not turn.event
