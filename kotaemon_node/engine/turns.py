"""The turn engine: what the routes call to run, follow, await and cancel turns."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import (
    Draining,
    NodeError,
    Overloaded,
    SessionAhead,
)
from kotaemon_node.domain.events import SessionEvents
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.domain.session import (
    Principal,
    SessionKey,
    SessionPlace,
    Turn,
    TurnKey,
    TurnRequest,
)
from kotaemon_node.domain.turn import FINISHED, Signal, State
from kotaemon_node.engine.announcing import Announcer, TellsTurns
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.claiming import claim_of
from kotaemon_node.engine.ending_early import EndingEarly
from kotaemon_node.engine.execution import Execution, Settle, nothing_open
from kotaemon_node.engine.following import Following
from kotaemon_node.engine.group_commit import GroupCommit
from kotaemon_node.engine.handoff import Persons
from kotaemon_node.engine.lending import Knowledge, KnowledgeOf, Lending
from kotaemon_node.engine.live import LiveTurn, LiveTurns
from kotaemon_node.engine.owners import Owners
from kotaemon_node.engine.profile import ProfileOf, always_default
from kotaemon_node.engine.record import Record, no_record
from kotaemon_node.engine.session_following import SessionFollowing
from kotaemon_node.engine.settling import Spent, nobody_told
from kotaemon_node.engine.stopping import HandedOver
from kotaemon_node.engine.summarising import Memory
from kotaemon_node.engine.traced import traced, with_trace
from kotaemon_node.engine.turn_log import TurnLog
from kotaemon_node.ports.events import Bus
from kotaemon_node.ports.frame_log import FrameLog
from kotaemon_node.ports.later import FOLLOW_UP
from kotaemon_node.ports.runtime import Clock, IdSource, Tasks
from kotaemon_node.ports.sessions import (
    Claim,
    ClaimOutcome,
    ClaimRequest,
    Orphan,
    SessionStore,
    Work,
)
from kotaemon_node.ports.traces import NO_TRACES, Traces, span
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)


class TurnEngine:
    """``api.services.TurnService``. Thread safe; all truth lies in the store."""

    def __init__(
        self,
        *,
        owner: str,
        sessions: SessionStore,
        frames: FrameLog,
        bus: Bus,
        knowledge: Knowledge,
        answerer: Answerer,
        clock: Clock,
        ids: IdSource,
        tasks: Tasks,
        metrics: Metrics,
        owners: Owners,
        draining: Callable[[], bool],
        turn_log: TurnLog | None = None,
        traces: Traces = NO_TRACES,
        profile_of: ProfileOf = always_default,
        record: Record = no_record,
        tally: TellsTurns | None = None,
        settle: Settle = nothing_open,
        spent: Spent = nobody_told,
        memory: Memory | None = None,
        persons: Persons | None = None,
        knowledge_of: KnowledgeOf | None = None,
        session_events: SessionEvents = "all",
    ) -> None:
        """``profile_of`` is that of ``answerer``. ``tally`` counts finished turns.

        ``knowledge``, ``knowledge_of``: as ``Lending``.
        """
        self._owner = owner
        self._traces = traces
        self._owners = owners
        self._frames = frames
        self._sessions = sessions
        self._announcer = Announcer(
            sessions=sessions,
            bus=bus,
            tasks=tasks,
            metrics=metrics,
            turn_log=turn_log,
            tally=tally,
            session_events=session_events,
        )
        self._lending = Lending(knowledge, knowledge_of)
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._metrics = metrics
        self._draining = draining
        self._live = LiveTurns(clock=clock, tasks=tasks)
        self._taking: set[TurnKey] = set()
        self._commit = GroupCommit(frames, clock=clock, tasks=tasks, metrics=metrics)
        self._following = Following(
            sessions=sessions,
            frames=frames,
            live=self._live,
            rescue=self._rescue,
            leaving=draining,
            clock=clock,
            count_gone=lambda: metrics.session_gone("turn"),
        )
        self._session_following = SessionFollowing(
            sessions=sessions, frames=frames, turns=self._following, leaving=draining
        )
        self._execution = Execution(
            sessions=sessions,
            commit=self._commit,
            live=self._live,
            answerer=answerer,
            clock=clock,
            metrics=metrics,
            announce=self._announcer.announce,
            draining=draining,
            again=self._take_again,
            profile_of=profile_of,
            record=record,
            settle=settle,
            spent=spent,
            memory=memory or Memory(),
            persons=persons or Persons(clock.now_s, metrics=metrics.acting),
        )
        self._ending = EndingEarly(
            owner=owner,
            sessions=sessions,
            commit=self._commit,
            live=self._live,
            execution=self._execution,
            clock=clock,
            traces=traces,
            go_on=self._start,
            again=self._take_again,
        )

    @property
    def running(self) -> int:
        """See the protocol."""
        return len(self._live)

    @property
    def quiet(self) -> bool:
        """Nothing is executed here, and no event of what was is on its way."""
        return self.running == 0 and self._announcer.sending == 0

    def executes(self, key: TurnKey) -> bool:
        """Tell whether this very process executes the turn."""
        return self._live.executing(key)

    def listen(self) -> None:
        """Begin to hear which turns other pods took from this one."""
        self._frames.watch_losses(self._owner, self._doubt)

    def _doubt(self, key: TurnKey | None) -> None:
        if key is None:
            doubtful = self._live.all()
        else:
            live = self._live.get(key)
            doubtful = [live] if live is not None else []
        for one in doubtful:
            one.doubt()

    def hand_over(self) -> None:
        """Leave every turn that runs here to other pods, as it stands."""
        for live in self._live.all():
            live.stop.request(HandedOver("this pod is leaving; another one goes on"))

    def take(self, key: TurnKey, *, from_owner: str, again: bool = False) -> bool:
        """Go on with a turn whose owner is lost; False when there was nothing to take.

        ``again``: it was taken from its owner, which may be a task of this pod that does not know.
        """
        if self._draining() or self.running >= limits.RUNNING_TURNS_PER_POD_MAX:
            return False
        # A second seizure by the same pod would win as well, and the model be asked twice.
        if key in self._taking or (self.executes(key) and not again):
            return False
        self._taking.add(key)
        try:
            begun_s = self._clock.monotonic_s()
            work = self._sessions.seize(key, self._owner, from_owner=from_owner)
            if work is None:
                return False
            with traced(work, self._traces, clock=self._clock) as turn:
                took_s = self._clock.monotonic_s() - begun_s
                turn.past("takeover", took_s, {"kotaemon.owner.before": from_owner})
                _log.info("turn_taken_over", turn_id=key.turn_id, from_owner=from_owner)
            self.start(work)
            return True
        finally:
            self._taking.discard(key)

    def _take_again(self, key: TurnKey) -> None:
        """Go on with a turn of ours that was refused, if the store still has it as ours."""
        try:
            self.take(key, from_owner=self._owner)
        except NodeError as error:
            _log.info("turn_not_taken_again", turn_id=key.turn_id, error=str(error))  # a sweep does

    def _rescue(self, key: TurnKey, turn: Turn) -> None:
        """Take a turn that somebody waits for, if nobody executes it."""
        owner = turn.owner or ""
        if turn.state is State.QUEUED or self._owners.lost(owner):
            self.take(key, from_owner=owner)

    def submit(self, request: TurnRequest) -> ClaimOutcome:
        """See the protocol."""
        self._admit()
        options = with_trace(request.options, self._traces)
        claiming = partial(
            claim_of, request, options, owner=self._owner, new_epoch=self._ids.new_id()
        )
        try:
            claim = self._claimed(claiming(served=self._served(request)))
        except SessionAhead as behind:
            # What it has seen is on its way here: that is waited for, a moment.
            claim = self._claimed(claiming(served=self._served(request, behind.generation)))
        if claim.work is not None:
            self.start(claim.work)
        elif request.on_busy == "interrupt" and self._waits(request, claim.outcome):
            self._interrupt(request)
        return claim.outcome

    def start(self, work: Work) -> None:
        """Execute ``work``, and behind it the session's turns that wait, beside the caller."""
        self._start(work, self._live.open(work.lease.key, work.stored, fence=work.lease.fence))

    def _start(self, work: Work, live: LiveTurn) -> None:
        def run() -> None:
            following: tuple[Work, LiveTurn] | None = (work, live)
            while following is not None:
                with traced(following[0], self._traces, clock=self._clock):
                    following = self._execution.run(*following)

        self._tasks.spawn(f"turn {work.lease.key.turn_id}", run)

    def follow(self, key: TurnKey, principal: Principal, *, after: int) -> Iterator[Frame | None]:
        """See the protocol."""
        return self._following.follow(key, principal, after=after)

    def follow_session(
        self, key: SessionKey, principal: Principal, *, place: SessionPlace
    ) -> Iterator[Frame | None]:
        """See the protocol."""
        return self._session_following.follow(key, principal, place)

    def wait(self, key: TurnKey, principal: Principal, *, timeout_s: float) -> Turn | None:
        """See the protocol."""
        return self._following.wait(key, principal, timeout_s=timeout_s)

    def cancel(self, key: TurnKey, principal: Principal) -> Turn:
        """See the protocol."""
        turn = self._sessions.turn(key, principal)
        if turn.state not in FINISHED:
            self._ending.end(key, Signal.CANCEL)
        return self._sessions.turn(key, principal)

    def break_off(self, key: TurnKey) -> None:
        """End the turn as interrupted, with what was shown, whoever has it."""
        self._ending.end(key, Signal.INTERRUPT)

    def resend(self, unsent: Sequence[Orphan]) -> None:
        """Send events again that nobody else will send; returns at once."""
        self._announcer.resend(unsent)

    def _admit(self) -> None:
        """Refuse, before anything is written, what this pod cannot do."""
        if self._draining():
            raise Draining("this pod is leaving; another one answers")
        if self.running >= limits.RUNNING_TURNS_PER_POD_MAX:
            raise Overloaded(f"this pod runs {self.running} turns already")

    def _claimed(self, asked: ClaimRequest) -> Claim:
        with span("claim") as claiming:
            claim = self._sessions.claim(asked)
            claiming.tell({"kotaemon.claim.outcome": claim.outcome.value})
            return claim

    def _served(self, request: TurnRequest, newest: int = 0) -> GenerationRef | None:
        """Return the generation that would answer, ``newest`` at least; None: none is needed."""
        if FOLLOW_UP in request.options or "said" in request.options:
            return None  # what is told or said by a person needs no knowledge
        kb = request.options.get("kb") or DEFAULT_KNOWLEDGE_BASE
        least = max(newest, int(request.options.get("min_generation") or 0))
        return self._lending.served(kb, tenant=request.key.session.tenant, min_generation=least)

    def _waits(self, request: TurnRequest, outcome: ClaimOutcome) -> bool:
        """Tell whether the turn waits; a request that was repeated may not have interrupted yet."""
        if outcome is ClaimOutcome.ATTACHED:
            return self._sessions.turn(request.key, request.principal).state is State.QUEUED
        return outcome is ClaimOutcome.QUEUED

    def _interrupt(self, request: TurnRequest) -> None:
        """End the turn that runs now; ``request`` still waits behind those accepted before it."""
        session = self._sessions.load(
            request.key.session, request.principal, after_version=0, limit=0
        )
        if session.running_turn not in {None, request.key.turn_id}:
            key = TurnKey(session=request.key.session, turn_id=str(session.running_turn))
            self._ending.end(key, Signal.INTERRUPT)
