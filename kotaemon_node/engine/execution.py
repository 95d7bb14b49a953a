"""Executing one turn from its lease to its commit, whatever happens on the way."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import (
    Fenced,
    Gone,
    NodeError,
    SequenceGap,
    StoreUnavailable,
)
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Turn, TurnKey
from kotaemon_node.domain.turn import Signal, State, advance
from kotaemon_node.engine import settling
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.follow_ups import origin_of, told
from kotaemon_node.engine.following import terminal_frame
from kotaemon_node.engine.group_commit import GroupCommit
from kotaemon_node.engine.handoff import Persons, as_told, event_of, handoff_frames
from kotaemon_node.engine.live import LiveTurn, LiveTurns
from kotaemon_node.engine.profile import ProfileOf, always_default
from kotaemon_node.engine.record import Ended, Record, no_record
from kotaemon_node.engine.seeding import with_seed
from kotaemon_node.engine.stopping import HandedOver
from kotaemon_node.engine.summarising import Memory, Remembered
from kotaemon_node.engine.traced import end_turn, note_wait
from kotaemon_node.engine.writing import FrameWriter, persistently
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.sessions import Committed, Ending, SessionStore, Work
from kotaemon_node.ports.traces import span
from kotaemon_node.telemetry.metrics import Metrics, ProfileOutcome

_log = structlog.get_logger(__name__)

CRASHED = {
    "code": settling.CRASHED,
    "message": f"{limits.TURN_ATTEMPTS_MAX} pods were lost while they answered this message",
    "retryable": False,
}


_CITED: Final = re.compile(r"\[\d{1,3}\]")

Settle = Callable[[Work, FrameWriter], None]
"""Sees to what a turn leaves open, before its commit; what it raises is a reason of ``LEAVING``."""


def nothing_open(work: Work, out: FrameWriter) -> None:
    """See to nothing."""


LEAVING = (Fenced, Gone, StoreUnavailable, HandedOver)
"""Reasons for which a turn does not end but goes on elsewhere, or has nowhere to end."""

NextTurn = tuple[Work, LiveTurn]
"""A turn that this pod owns, open to followers and not yet begun."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Runs turns that this pod owns."""

    sessions: SessionStore
    commit: GroupCommit
    live: LiveTurns
    answerer: Answerer
    clock: Clock
    metrics: Metrics
    announce: Callable[[Work, Committed, Turn], None]
    """Sends the events of a committed turn; must not raise."""
    draining: Callable[[], bool]
    again: Callable[[TurnKey], None]
    """Takes up a turn of this pod whose session goes on under another epoch; must not raise."""
    profile_of: ProfileOf = always_default
    record: Record = no_record
    settle: Settle = nothing_open
    spent: settling.Spent = settling.nobody_told
    memory: Memory = field(default_factory=Memory)
    persons: Persons = field(default_factory=Persons)

    def run(self, work: Work, live: LiveTurn) -> NextTurn | None:
        """Execute ``work`` and return the session's next turn if this pod owns that now."""
        try:
            return self._run(work, live)
        except HandedOver:
            self._hand_over(work)
            return None
        except Fenced:
            # Another pod goes on: there is nothing of ours to say.
            self.metrics.fenced_write()
            _log.info("turn_left", reason="fenced", **_names(work))
            return None
        except Gone:
            _log.info("turn_left", reason="gone", **_names(work))
        except StoreUnavailable:
            # The turn stays in the index of running turns; whoever reaches the store takes it up.
            _log.warning("turn_left", reason="store_unavailable", **_names(work))
            return None
        finally:
            self.live.close(work.lease.key, live)
        # The session was deleted, or the store was set back and what is left has another epoch.
        self.again(work.lease.key)
        return None

    def _run(self, work: Work, live: LiveTurn) -> NextTurn | None:
        work = with_seed(work)
        started_s = self.clock.monotonic_s()
        note_wait(work, clock=self.clock)
        out = FrameWriter(work, commit=self.commit, live=live, clock=self.clock)
        try:
            return self._answer(work, out, live, started_s=started_s)
        except LEAVING as reason:
            left = settling.LeftTurn(work.lease.key, work.attempts, _noted_usage(out), out.unkept)
            self.spent(left, gone=isinstance(reason, Gone))
            raise

    def _answer(
        self, work: Work, out: FrameWriter, live: LiveTurn, *, started_s: float
    ) -> NextTurn | None:
        draft, kept = Draft(), None
        signal, error = Signal.ANSWER_COMPLETE, None
        if work.ending:
            signal = Signal(work.ending)
        elif work.losses >= limits.TURN_ATTEMPTS_MAX:
            signal, error = Signal.GAVE_UP, dict(CRASHED)
        else:
            try:
                if work.attempts > 1:
                    self.metrics.takeover()
                    out.status("taken_over", latency_s=0.0)
                kept = self.memory.begin(work)
                spoken = self.persons.spoken(work, out) or told(work, out)
                draft = spoken or self.answerer.answer(as_told(work), out, started_s=started_s)
                out.drain()
            except LEAVING:
                raise
            except NodeError as failure:
                signal, error = Signal.GAVE_UP, _error_fields(failure)
            except Exception:  # noqa: BLE001 - a bug in one turn must end that turn, and be logged
                _log.exception("turn_failed", **_names(work))
                signal, error = Signal.GAVE_UP, _error_fields(NodeError("internal error"))
            if error is not None:
                draft = Draft(usage=_noted_usage(out))
        return self.end(
            work, out, live,
            signal=signal, error=error, draft=draft, started_s=started_s, kept=kept,
        )  # fmt: skip

    def _hand_over(self, work: Work) -> None:
        try:
            with span("hand_over"):
                self.sessions.release(work.lease)
            self.metrics.handover()
            _log.info("turn_handed_over", **_names(work))
        except (Fenced, Gone, StoreUnavailable) as error:
            # It is another's already, or whoever reaches the store takes it up when we are dead.
            _log.info("turn_left", reason=error.code, **_names(work))

    def end(
        self,
        work: Work,
        out: FrameWriter,
        live: LiveTurn,
        *,
        signal: Signal,
        error: Mapping[str, Any] | None,
        draft: Draft,
        started_s: float,
        kept: Remembered | None = None,
    ) -> NextTurn | None:
        """Commit the turn as ``signal`` says, announce it, and return the next one.

        ``kept``: what was begun to sum up what leaves the history; None: nothing was.
        """
        if signal is not Signal.ANSWER_COMPLETE:
            _store_the_rest(out)
        self.settle(work, out)
        duration_s = self.clock.monotonic_s() - started_s
        timings = {"total": round(duration_s, 4)}
        if out.first_text_at_s is not None:
            timings["first_text"] = round(out.first_text_at_s - started_s, 4)
        profile = self.profile_of(work)
        done = signal is Signal.ANSWER_COMPLETE
        handoff = self.persons.wanted(work, draft, out) if done else None
        turn = replace(
            _ended(work, out, draft),
            state=advance(State.RUNNING, signal),
            timings=timings,
            profile=profile.label,
            unanswered=done and _is_unanswered(draft, out),
            error=error,
            event=draft.event or event_of(handoff, work.stored),
        )
        ending = Ending(
            turn=turn,
            terminal=_terminal_body(turn),
            seq=out.seq + (1 if handoff is None else 2),
            generations={**work.session.generations, **draft.generations},
            state=draft.state,
            handoff=handoff,
            summary=(kept or self.memory.begin(work, advised=False)).summary(),
        )
        if not draft.spoken:
            self.record(Ended(work, out, live, profile, turn))
        committed = self._commit(work, out, ending)
        # Open before anything else is done: a sweep must see that this pod executes it.
        next_turn = self._opened(committed.next) if committed.next is not None else None
        shown = replace(turn, version=committed.version)
        live.end(shown, [*handoff_frames(turn, ending), terminal_frame(shown, seq=ending.seq)])
        self._count(turn, duration_s)
        self.persons.committed(work.lease.key.session, turn, handoff)
        self.announce(work, committed, shown)
        end_turn(work, shown)
        return next_turn

    def _opened(self, work: Work) -> NextTurn:
        return work, self.live.open(work.lease.key, work.stored, fence=work.lease.fence)

    def _count(self, turn: Turn, duration_s: float) -> None:
        self.metrics.turn_finished(turn.state.value, duration_s)
        if turn.error is not None:
            self.metrics.turn_failed(str(turn.error["code"]))
        if turn.degraded:
            self.metrics.turn_degraded()
        if not turn.by_bot:
            return
        self.metrics.turn_of_profile(turn.profile, _outcome(turn))
        if "first_text" in turn.timings:
            self.metrics.first_text(turn.timings["first_text"])

    def _commit(self, work: Work, out: FrameWriter, ending: Ending) -> Committed:
        def commit() -> Committed:
            return self.sessions.commit(work.lease, ending, take_next=not self.draining())

        with span("commit"):
            try:
                return persistently(commit, clock=self.clock)
            except SequenceGap:
                out.confirm()  # the store was set back and has lost frames
                return persistently(commit, clock=self.clock)


def _ended(work: Work, out: FrameWriter, draft: Draft) -> Turn:
    """Return the turn with what was written; how it ended is not in it."""
    return Turn(
        turn_id=work.lease.key.turn_id,
        message=work.message,
        state=State.RUNNING,
        answer=out.answer,
        sources=out.docs,
        generation=draft.generations,
        owner=work.lease.owner,
        attempts=work.attempts,
        usage=draft.usage,
        degraded=draft.degraded,
        cached=draft.cached,
        faq="faq" in out.notes,
        trace_id=work.lease.trace_id,
        created_at=work.created_at,
        author=draft.author,
        name=draft.name,
        handoff=draft.waits,
        **origin_of(work),
    )


def _outcome(turn: Turn) -> ProfileOutcome:
    if turn.state is State.DONE:
        return "unanswered" if turn.unanswered else "answered"
    return "failed" if turn.state is State.FAILED else "stopped"


def _is_unanswered(draft: Draft, out: FrameWriter) -> bool:
    """Tell whether the answer that was written says that it does not know.

    A model's is taken for such where it cites nothing and has looked nothing up.
    """
    if draft.unanswered is not None:
        return draft.unanswered
    return not _CITED.search(out.answer) and out.decided("round:1") is None


def _store_the_rest(out: FrameWriter) -> None:
    """Store what was written before the turn was ended, unless it failed because of that."""
    try:
        out.give_up_calls()
        out.drain()
    except LEAVING:
        raise
    except NodeError as error:
        _log.info("text_not_stored", error=str(error))


def _terminal_body(turn: Turn) -> FrameBody:
    """Return the terminal frame without what the history keeps: the answer and its version."""
    frame = terminal_frame(turn, seq=0)
    kept = {
        name: value for name, value in frame.fields.items() if name not in {"answer", "version"}
    }
    return FrameBody(frame.type, kept)


def _error_fields(error: NodeError) -> dict[str, Any]:
    return {"code": error.code, "message": str(error), "retryable": error.retryable}


def _noted_usage(out: FrameWriter) -> Mapping[str, Any]:
    """Return what a turn without an answer took of the language model: that is paid for as well."""
    usage: Mapping[str, Any] = out.notes.get("generation", {}).get("usage", {})
    return usage


def _names(work: Work) -> dict[str, str]:
    return {"turn_id": work.lease.key.turn_id, "trace_id": work.lease.trace_id}
