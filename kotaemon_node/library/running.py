"""Runs turns in this process, by the engine of the pods: its steps, its frames, its commit."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, cast

from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import Turn
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.execution import Execution
from kotaemon_node.engine.group_commit import GroupCommit
from kotaemon_node.engine.live import LiveTurns
from kotaemon_node.engine.profile import ProfileOf
from kotaemon_node.engine.summarising import Memory
from kotaemon_node.library.talk import Place
from kotaemon_node.ports.frame_log import FrameLog
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.sessions import SessionStore, Work
from kotaemon_node.telemetry.metrics import Metrics

_LOOK_S = 1.0


class TurnNotAnswered(NodeError):
    """A turn that ended without an answer; ``code`` says why."""

    def __init__(self, turn: Turn) -> None:
        error = turn.error or {}
        super().__init__(str(error.get("message") or f"the turn was {turn.state.value}"))
        self.code = str(error.get("code") or turn.state.value)
        self.turn = turn


class Text(str):
    """A piece of an answer as it is made."""

    __slots__ = ("restart",)

    restart: bool
    """The pieces before this one are void: the answer begins anew with it."""

    def __new__(cls, content: str, *, restart: bool = False) -> "Text":
        made = super().__new__(cls, content)
        made.restart = restart
        return made


class Answer(str):
    """The text of an answer, with what it rests on."""

    __slots__ = ("turn",)

    turn: Turn
    """The whole turn, as the cluster's routes show it."""

    def __new__(cls, turn: Turn) -> "Answer":
        made = super().__new__(cls, turn.answer)
        made.turn = turn
        return made

    @property
    def sources(self) -> tuple[Mapping[str, Any], ...]:
        """The documents cited: ``sources[n - 1]`` is ``[n]``."""
        return self.turn.sources

    @property
    def unanswered(self) -> bool:
        """Whether it says that it does not know."""
        return self.turn.unanswered


@dataclass(frozen=True, slots=True)
class Running:
    """What turns of one program are run by."""

    answerer: Answerer
    metrics: Metrics
    profile_of: ProfileOf
    clock: Clock = field(default_factory=SystemClock)
    tasks: Tasks = field(default_factory=ThreadTasks)

    def turn(self, place: Place, message: str, *, memory: Memory) -> Iterator[Frame | Turn]:
        """Run one turn; yield its frames as they are stored, and the finished turn at last."""
        work = place.begin(message)
        ended: list[Turn] = []
        with ExitStack() as stack:
            stack.enter_context(place.owning())
            live = LiveTurns()
            execution = self._execution(place, live, memory, ended.append)
            shown = live.open(work.lease.key, work.stored, fence=work.lease.fence)
            over = threading.Event()

            def run() -> None:
                try:
                    execution.run(work, shown)
                finally:
                    over.set()

            self.tasks.spawn(f"turn {work.lease.key.turn_id}", run)
            seq, closed = 0, False
            while not closed:
                frames, closed = shown.after(seq, timeout_s=_LOOK_S)
                yield from frames
                seq += len(frames)
                closed = closed and not frames
            over.wait()
        yield self._outcome(place, work, ended)

    def _outcome(self, place: Place, work: Work, ended: list[Turn]) -> Turn:
        turn = ended[0] if ended else place.outcome(work)
        if turn is None:
            raise NodeError("the turn did not end")
        return turn

    def _execution(
        self, place: Place, live: LiveTurns, memory: Memory, ended: Callable[[Turn], None]
    ) -> Execution:
        def announce(work: Work, committed: Any, turn: Turn) -> None:
            ended(turn)
            place.announce(work, committed, turn)

        frames = cast("FrameLog", place.frames)  # nobody reads them here
        return Execution(
            # A turn that is executed commits or releases, and asks for nothing else.
            sessions=cast("SessionStore", place),
            commit=GroupCommit(frames, clock=self.clock, tasks=self.tasks, metrics=self.metrics),
            live=live,
            answerer=self.answerer,
            clock=self.clock,
            metrics=self.metrics,
            announce=announce,
            draining=lambda: False,
            again=lambda key: None,
            profile_of=self.profile_of,
            memory=memory,
        )


def texts(frames: Iterator[Frame | Turn]) -> Iterator[Text]:
    """Yield the pieces of the answer; raises ``TurnNotAnswered`` where it ends without one."""
    restart = False
    for frame in frames:
        if isinstance(frame, Turn):
            checked(frame)
        elif frame.type == "restart":
            restart = True
        elif frame.type == "text":
            yield Text(frame.fields["content"], restart=restart)
            restart = False


def answer(frames: Iterator[Frame | Turn]) -> Answer:
    """Return the whole answer; raises ``TurnNotAnswered``."""
    *_, turn = frames
    assert isinstance(turn, Turn)
    return Answer(checked(turn))


def checked(turn: Turn) -> Turn:
    """Return a turn that was answered; raises ``TurnNotAnswered`` for another one."""
    if turn.state is not State.DONE:
        raise TurnNotAnswered(turn)
    return turn
