"""Drafts of an FAQ from the turns that make them to the entry that answers them."""

from collections.abc import Sequence
from typing import Any

from kotaemon_node.domain.errors import SessionNotFound
from kotaemon_node.domain.knowledge import SearchResult
from kotaemon_node.domain.session import Principal, SessionKey, SessionView, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.counting import Tallying
from kotaemon_node.engine.draft_desk import FaqDraftDesk, Suggestion
from kotaemon_node.ports.faq_drafts import DraftRow, Example, Unmet
from kotaemon_node.ports.feedback import Feedback
from tests.fakes.knowledge_base import SENTENCE, FakeKnowledge
from tests.fakes.refusals import assert_refused
from tests.fakes.services import FakeCluster

GIFTS = "Do you sell gift cards?"


class Rows:
    """Drafts in memory."""

    def __init__(self, *rows: DraftRow) -> None:
        self.kept = list(rows)
        self.noted: list[Unmet] = []
        self.dismissed: list[str] = []

    def note(self, unmet: Unmet) -> None:
        self.noted.append(unmet)

    def rows(self, tenant: str, kb: str) -> Sequence[DraftRow]:
        return [row for row in self.kept if row.id not in self.dismissed]

    def dismiss(self, tenant: str, kb: str, ids: Sequence[str]) -> None:
        self.dismissed += ids


class Sessions:
    """Histories by session."""

    def __init__(self, **turns: Sequence[Turn]) -> None:
        self._turns = turns

    def load(self, key: SessionKey, principal: Principal, *, after_version: int, limit: int) -> Any:
        assert principal.sees_all
        if key.session_id not in self._turns:
            raise SessionNotFound("no such session")
        turns = tuple(self._turns[key.session_id])[after_version : after_version + limit]
        return SessionView(key.session_id, "e", 9, "", 0.0, 0.0, turns)


class Counts:
    def add(self, tally: Any) -> None: ...

    def days(self, tenant: str, days: Any) -> Any: ...


def nothing(tenant: str, kb: str, question: str) -> SearchResult:
    return SearchResult(kb, generation=1, digest="d", hits=())


def apart(questions: Sequence[str]) -> list[list[float]]:
    return [[-1.0] * len(questions) for _ in questions]


def row(question: str = GIFTS, *, session: str = "s1", asked: int = 3) -> DraftRow:
    example = Example(session, "t1", 1)
    return DraftRow(question[:4].strip(), question, asked, 0, 1.0, 2.0, 0, (example,))


def turn(turn_id: str, message: str = "", answer: str = "", **more: Any) -> Turn:
    return Turn(turn_id, message, State.DONE, answer=answer, **more)


def suggested(rows: Rows, sessions: Sessions, search: Any = nothing) -> list[Suggestion]:
    desk = FaqDraftDesk(rows, sessions=sessions, search=search, closeness=apart)  # type: ignore[arg-type]
    page = desk.page("default", "default", offset=0, limit=10)
    return [suggestion for _, suggestion in page.drafts]


def test_what_is_not_known_and_what_is_rated_down_is_kept() -> None:
    rows = Rows()
    tallying = Tallying(Counts(), with_questions=True, count=lambda outcome: None, drafts=rows)
    key = TurnKey(SessionKey("default", "s1"), "t1")
    asked = turn(
        "t1", "Do  you sell\ngift cards? mail me@x.org, 4012 8888 8888 1881", "I don't know"
    )

    tallying.turn(key, epoch="e", turn=turn("t0", "When?", "Now."))
    tallying.turn(key, epoch="e", turn=turn("t2", "hello?", handoff=True))
    assert rows.noted == []
    unanswered = Turn(**{n: getattr(asked, n) for n in Turn.__slots__} | {"unanswered": True})
    tallying.turn(key, epoch="e", turn=unanswered)
    tallying.feedback(key, turn("t3", "Why?", "So.", version=3), said=said("down"), before=None)
    tallying.feedback(key, turn("t3", "Why?", "So."), said=said("up"), before=None)
    tallying.feedback(key, turn("t4", "", "Hi", author="agent"), said=said("down"), before=None)

    assert [(one.question, one.down) for one in rows.noted] == [
        ("Do you sell gift cards? mail @ #", False), ("Why?", True),
    ]  # fmt: skip
    assert rows.noted[1].version == 3


def test_without_words_no_draft_is_kept() -> None:
    rows = Rows()
    tallying = Tallying(Counts(), with_questions=False, count=lambda outcome: None, drafts=rows)
    key = TurnKey(SessionKey("default", "s1"), "t1")

    tallying.feedback(key, turn("t1", "Why?", "So."), said=said("down"), before=None)

    assert rows.noted == []


def said(rating: Any) -> Feedback:
    return Feedback(rating, "", 5.0)


def test_what_a_person_answered_after_the_handoff_is_suggested() -> None:
    talk = (
        turn("t1", GIFTS, "I don't know.", unanswered=True),
        turn("t2", "a person please", "Yes.", event="handoff"),
        turn("t3", "so?", handoff=True),
        turn("t4", "", "Yes, from 10 to 500.", author="agent"),
        turn("t5", "", "They never expire.", author="agent"),
        turn("t6", event="handback"),
        turn("t7", "", "Not about that.", author="agent"),
    )

    [suggestion] = suggested(Rows(row()), Sessions(s1=talk))

    assert suggestion == Suggestion("Yes, from 10 to 500.\nThey never expire.", "agent")


def test_what_a_person_answered_to_another_question_is_not() -> None:
    talk = (
        turn("t1", GIFTS, "I don't know.", unanswered=True),
        turn("t2", "And lamps?", "Lamps are here."),
        turn("t3", event="handoff"),
        turn("t4", "", "About lamps.", author="agent"),
    )

    assert suggested(Rows(row()), Sessions(s1=talk)) == [Suggestion("", "")]
    assert suggested(Rows(row(session="gone")), Sessions()) == [Suggestion("", "")]


def test_else_the_best_passages_are() -> None:
    knowledge = FakeKnowledge()

    [suggestion] = suggested(
        Rows(row(SENTENCE)), Sessions(), lambda _, kb, asked: knowledge.search(kb, asked, top_k=3)
    )

    assert suggestion.by == "passages"
    assert SENTENCE in suggestion.text
    assert suggestion.sources[0].startswith("/v1/sources/default/")


def test_a_draft_is_listed_accepted_and_dismissed_over_http() -> None:
    rows = Rows(row(), row("Are you open?", asked=1))
    desk = FaqDraftDesk(rows, sessions=Sessions(), search=nothing, closeness=apart)  # type: ignore[arg-type]
    cluster = FakeCluster(drafts=desk)
    client = cluster.client()

    listed = client.get("/v1/faq/drafts?limit=1")
    accepted = client.post(
        "/v1/faq/drafts/Do y/accept".replace(" ", "%20"), json={"answer": "Yes."}
    )
    assert_refused(accepted, 400, code="malformed")  # no legal id

    assert listed.json["total"] == 2
    assert listed.json["next_offset"] == 1
    [draft] = listed.json["drafts"]
    assert (draft["question"], draft["asked"], draft["suggested_by"]) == (GIFTS, 3, "")
    assert draft["examples"] == [{"session_id": "s1", "turn_id": "t1", "version": 1}]
    assert client.delete("/v1/faq/drafts/Are").status_code == 204
    assert client.get("/v1/faq/drafts").json["total"] == 1
    assert_refused(client.delete("/v1/faq/drafts/Are"), 404, code="not_found")


def test_an_accepted_draft_is_an_entry_with_its_wordings() -> None:
    rows = Rows(
        DraftRow("g1", "How can I cancel an order?", 3, 0, 1.0, 2.0, 0, ()),
        DraftRow("g2", "how do i cancel my order please", 1, 0, 1.0, 2.0, 0, ()),
    )
    desk = FaqDraftDesk(rows, sessions=Sessions(), search=nothing, closeness=apart)  # type: ignore[arg-type]
    cluster = FakeCluster(drafts=desk)
    client = cluster.client()

    accepted = client.post("/v1/faq/drafts/g2/accept", json={"answer": "By mail."})

    assert accepted.status_code == 202, accepted.text
    assert accepted.json["id"] == "draft-g1"
    [job] = cluster.jobs.waiting("default")
    assert job.order.fields["question"] == "How can I cancel an order?"
    [written] = cluster.room.kept.values()
    assert b"how do i cancel my order please" in written
    assert rows.dismissed == ["g1", "g2"]
