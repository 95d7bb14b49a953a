"""The audit record of a turn: what it was asked, by what it was answered, and on which pods.

Law 1: passages are named, with all their scores, and not copied: their text is opened in the
       generation that they come from, as a citation is. So a purge takes it from here, too.
Law 2: question, profile, passages and what the steps noted are enough to make the same prompt and,
       where no model took part, the same answer again (``hits_of``, ``extracted_again``).
Law 3: a record delays its turn by ``AUDIT_WAIT_S`` at most, and never fails it.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.knowledge import Hit, Passage, source_path
from kotaemon_node.domain.session import Turn
from kotaemon_node.engine.extractive import extract
from kotaemon_node.engine.faq import faq_answer
from kotaemon_node.engine.journal import ASKED, RETRIEVAL
from kotaemon_node.engine.live import LiveTurn
from kotaemon_node.engine.profile import AnswerProfile
from kotaemon_node.engine.record_bounds import bounded
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.turn_records import TurnRecord, TurnRecords

_log = structlog.get_logger(__name__)

FORMAT: Final = 1
_ROUND: Final = "round:"

Outcome = Literal["stored", "late", "failed"]
TextOf = Callable[[Mapping[str, Any]], str]
"""Opens a passage of a record."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A turn that is about to be committed, and all that is known of how it was made."""

    work: Work
    out: FrameWriter
    live: LiveTurn
    profile: AnswerProfile
    turn: Turn


Record = Callable[[Ended], None]
"""Keeps the record of a turn; must not raise."""


def no_record(ended: Ended) -> None:
    """Keep nothing."""


class Recorder:
    """``Record`` that keeps them in ``records``. Thread safe."""

    def __init__(
        self,
        records: TurnRecords,
        *,
        clock: Clock,
        tasks: Tasks,
        versions: Mapping[str, str],
        count: Callable[[Outcome], None],
    ) -> None:
        """``versions``: of all that could make another answer of the same record, by its name."""
        self._records = records
        self._clock = clock
        self._tasks = tasks
        self._versions = versions
        self._count = count

    def __call__(self, ended: Ended) -> None:
        """Keep the record of a turn. Returns when it is stored, or after ``AUDIT_WAIT_S``."""
        lease = ended.work.lease
        try:
            content = bounded(content_of(ended, versions=self._versions))
        except Exception:  # noqa: BLE001 - what a step noted is no JSON: a bug that ends no turn
            _log.exception("record_not_made", turn_id=lease.key.turn_id)
            self._count("failed")
            return
        record = TurnRecord(lease.key, lease.trace_id, lease.epoch, lease.fence, content)
        over = threading.Event()

        def put() -> None:
            try:
                self._records.put(record)
                self._count("stored")
            except Exception as error:  # noqa: BLE001 - the answer matters more than its record
                self._count("failed")
                _log.warning("record_not_stored", turn_id=lease.key.turn_id, error=str(error))
            finally:
                over.set()

        self._tasks.spawn(f"record of {lease.key.turn_id}", put)
        if not self._clock.wait(over, limits.AUDIT_WAIT_S):
            self._count("late")


def content_of(ended: Ended, *, versions: Mapping[str, str]) -> dict[str, Any]:
    """Return the record of a turn as a JSON object."""
    work, out, turn = ended.work, ended.out, ended.turn
    session = work.lease.key.session
    found: Mapping[str, Any] = out.decided(RETRIEVAL) or {}
    return {
        "format": FORMAT,
        "trace_id": turn.trace_id,
        "session_id": session.session_id,
        "turn_id": turn.turn_id,
        "epoch": work.lease.epoch,
        "history": [one.turn_id for one in work.session.turns],
        "at": turn.created_at,
        "state": turn.state.value,
        "message": turn.message,
        "options": {name: work.options[name] for name in _TOLD_OPTIONS if name in work.options},
        "asked": out.decided(ASKED) or {"message": turn.message, "search": turn.message},
        "profile": {**asdict(ended.profile), "fingerprint": ended.profile.fingerprint},
        "knowledge": _knowledge(found),
        "passages": [
            _passage(hit, n, found) for n, hit in enumerate(found.get("hits", ()), start=1)
        ],
        "steps": dict(out.notes),
        "rounds": _rounds(out),
        "answer": turn.answer,
        "unanswered": turn.unanswered,
        "cited": [doc["id"] for doc in turn.sources if "id" in doc],
        "usage": dict(turn.usage),
        "timings": dict(turn.timings),
        "phases": [
            {"phase": frame.fields["phase"], "latency": frame.fields["latency"]}
            for frame in ended.live.shown()
            if frame.type == "status"
        ],
        "attempts": turn.attempts,
        "losses": work.losses,
        "pods": [*work.owners, work.lease.owner],
        "degraded": turn.degraded,
        "error": turn.error,
        "versions": dict(versions),
    }


_TOLD_OPTIONS: Final = ("kb", "min_generation", "intent_filter")


def _knowledge(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was searched, and where it was not as usual, how: by which model, by words alone.

    What is usual is left out.
    """
    return {
        name: value
        for name, value in found.items()
        if name != "hits" and (name in {"kb", "generation", "digest"} or value)
    }


def _passage(hit: Mapping[str, Any], n: int, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a hit of the journal without its text, and with the address of that."""
    passage = {name: value for name, value in hit["passage"].items() if name != "text"}
    scores = {name: value for name, value in hit.items() if name != "passage"}
    url = source_path(kb=found["kb"], generation=found["generation"], passage=passage["id"])
    return {"n": n, **passage, "scores": scores, "url": url}


def _rounds(out: FrameWriter) -> list[Any]:
    """Return what the model said in the rounds that ended with calls of tools."""
    rounds = []
    for number in range(1, limits.TOOL_ROUNDS_MAX + 2):
        said = out.decided(f"{_ROUND}{number}")
        if said is not None:
            rounds.append(said)
    return rounds


def extracted_again(record: Mapping[str, Any], text_of: TextOf) -> str:
    """Return the answer that follows from a record without a model; ``text_of`` as ``hits_of``."""
    question, hits = record["asked"]["search"], hits_of(record, text_of)
    if (entry := faq_answer(question, hits)) is not None:
        return entry.answer.text
    return extract(question, hits, evidence_min=record["profile"]["evidence_min"]).text


def hits_of(record: Mapping[str, Any], text_of: TextOf) -> tuple[Hit, ...]:
    """Return the passages of a record as they were found.

    ``text_of`` opens one: what stands at its ``span`` in its document as it was, behind its
    ``url``.
    """
    return tuple(_hit(row, text_of(row)) for row in record["passages"])


def _hit(row: Mapping[str, Any], text: str) -> Hit:
    said = {name: row[name] for name in Passage.__slots__ if name in row}
    start, end = row["span"]
    said |= {"heading": tuple(row["heading"]), "span": (start, end), "text": text}
    return Hit(Passage(**said), **row["scores"])
