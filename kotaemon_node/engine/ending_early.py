"""Ending turns before their answers are whole: because somebody cancels, or says something else."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from kotaemon_node.domain.errors import Fenced, Gone
from kotaemon_node.domain.session import TurnKey
from kotaemon_node.domain.turn import Signal
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.execution import Execution
from kotaemon_node.engine.group_commit import GroupCommit
from kotaemon_node.engine.live import LiveTurn, LiveTurns
from kotaemon_node.engine.traced import traced
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.sessions import SessionStore, Work
from kotaemon_node.ports.traces import Traces

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EndingEarly:
    """Takes a turn from whoever has it, and commits it with the text that was shown."""

    owner: str
    sessions: SessionStore
    commit: GroupCommit
    live: LiveTurns
    execution: Execution
    clock: Clock
    traces: Traces
    go_on: Callable[[Work, LiveTurn], None]
    """Executes the session's next turn, which this pod owns by then."""
    again: Callable[[TurnKey], None]
    """As ``Execution.again``."""

    def end(self, key: TurnKey, signal: Signal) -> None:
        """End the turn as ``signal`` says; one that ended meanwhile stays as it is."""
        try:
            self._seize_and_end(key, signal)
        except Fenced:
            # Somebody else ended it at the same moment.
            _log.info("turn_ended_elsewhere", turn_id=key.turn_id)
        except Gone:
            self.again(key)  # how it is to end is kept with it

    def _seize_and_end(self, key: TurnKey, signal: Signal) -> None:
        work = self.sessions.seize(key, self.owner, from_owner=None, ending=signal.value)
        if work is None:
            return
        if work.ending:
            signal = Signal(work.ending)  # somebody began to end it before, and may have died
        live = self.live.open(key, work.stored, fence=work.lease.fence)
        try:
            with traced(work, self.traces, clock=self.clock):
                out = FrameWriter(work, commit=self.commit, live=live, clock=self.clock)
                following = self.execution.end(
                    work,
                    out,
                    live,
                    signal=signal,
                    error=None,
                    draft=Draft(),
                    started_s=self.clock.monotonic_s(),
                )
        finally:
            self.live.close(key, live)
        if following is not None:
            self.go_on(*following)
