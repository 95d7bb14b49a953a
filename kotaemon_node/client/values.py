"""What calls return. ``raw`` is the whole JSON object, with what a newer cluster says besides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Session:
    """A session; wherever a session id is taken, this is, too."""

    id: str
    epoch: str
    version: int
    created_at: float
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished turn, or one that still runs where ``state`` says so."""

    response: str
    sources: Sequence[Mapping[str, Any]]
    session_id: str
    turn_id: str
    trace_id: str
    state: str
    usage: Mapping[str, Any]
    timings: Mapping[str, float]
    degraded: str | None
    version: int
    handoff: bool
    """A person has the session and is to answer."""
    raw: Mapping[str, Any]

    @property
    def answer(self) -> str:
        """The same as ``response``."""
        return self.response


@dataclass(frozen=True, slots=True)
class SessionHistory:
    """A session as it is stored, and a page of its turns, oldest first."""

    id: str
    epoch: str
    version: int
    turns: Sequence[Answer]
    messages: Sequence[str]
    """What was asked in each of ``turns``."""
    summary: str
    context: Mapping[str, Any]
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A line in the list of sessions."""

    id: str
    title: str
    version: int
    created_at: float
    active_at: float
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions, newest first; ``next_offset`` None: this was the last page."""

    sessions: Sequence[SessionRow]
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that a search found."""

    document: str
    title: str
    heading: Sequence[str]
    page: int | None
    span: tuple[int, int]
    text: str
    score: float
    url: str
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """The best passages of one generation, best first."""

    kb: str
    generation: int
    passages: Sequence[Passage]
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """An order and what became of it: ``queued``, ``running``, ``done``, ``failed``."""

    id: str
    kind: str
    state: str
    reason: str | None
    result: Mapping[str, Any]
    raw: Mapping[str, Any]

    @property
    def over(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self.state in {"done", "failed"}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was taken, and the job that ends when it can be found."""

    document: str
    revision: str
    job: str
    raw: Mapping[str, Any]


def id_of(session: str | Session) -> str:
    """Return the id of a session that was named or made."""
    return session.id if isinstance(session, Session) else session


def session_made(raw: Mapping[str, Any]) -> Session:
    return Session(raw["session_id"], raw["epoch"], raw["version"], raw["created_at"], raw)


def turn_answer(raw: Mapping[str, Any], session_id: str) -> Answer:
    """Read a turn as routes show it; ``POST /chat`` and ``GET /ask`` name some things otherwise."""
    return Answer(
        response=raw.get("answer", raw.get("response", "")),
        sources=raw.get("sources", raw.get("source", ())),
        session_id=raw.get("session_id") or session_id,
        turn_id=raw["turn_id"],
        trace_id=raw["trace_id"],
        state=raw["state"],
        usage=raw.get("usage", {}),
        timings=raw.get("timings", {}),
        degraded=raw.get("degraded"),
        version=raw.get("version", 0),
        handoff=bool(raw.get("handoff", False)),
        raw=raw,
    )


def history(raw: Mapping[str, Any]) -> SessionHistory:
    sid = raw["session_id"]
    return SessionHistory(
        id=sid,
        epoch=raw["epoch"],
        version=raw["version"],
        turns=[turn_answer(turn, sid) for turn in raw["turns"]],
        messages=[turn["message"] for turn in raw["turns"]],
        summary=raw["summary"],
        context=raw["context"],
        raw=raw,
    )


def session_page(raw: Mapping[str, Any]) -> SessionPage:
    rows = [
        SessionRow(
            row["session_id"], row["title"], row["version"], row["created_at"],
            row["active_at"], row,
        )
        for row in raw["sessions"]
    ]  # fmt: skip
    return SessionPage(rows, raw["next_offset"])


def found(raw: Mapping[str, Any]) -> Found:
    passages = [
        Passage(
            row["document"], row["title"], row["heading"], row["page"],
            (row["span"][0], row["span"][1]), row["text"], row["score"], row["url"], row,
        )
        for row in raw["passages"]
    ]  # fmt: skip
    return Found(raw["kb"], raw["generation"], passages, raw)


def job(raw: Mapping[str, Any]) -> Job:
    return Job(raw["job"], raw["kind"], raw["state"], raw["reason"], raw["result"], raw)


def upload(raw: Mapping[str, Any]) -> Upload:
    return Upload(raw["document"], raw["revision"], raw["job"], raw)
