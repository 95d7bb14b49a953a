"""Finding out, behind a turn, what became of a call whose answer was lost, and telling it once.

A "yes" of the tool's lookup counts at any time. A "no" counts only when the request can neither be
on its way any more nor take effect late: after the deadline of the call and the tool's horizon.
Until then it is asked, and asked again, by jobs that are due at different times.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal

import structlog

from kotaemon_node.domain.acting_limits import (
    RECONCILE_ATTEMPTS_MAX,
    RECONCILE_LOOKS_S,
    TOOL_SLACK_S,
)
from kotaemon_node.domain.errors import Gone, Invalid, NotFound, Overloaded
from kotaemon_node.domain.session import SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import FINISHED, State
from kotaemon_node.engine.call_texts import Told, action_of, follow_up_texts
from kotaemon_node.engine.calling import Call, Calling
from kotaemon_node.engine.follow_ups import FollowUps
from kotaemon_node.engine.ledger import OpenCall, caller_of, ledger_key, open_calls
from kotaemon_node.engine.slow_calls import call_fields, outcome_ref
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.writing import FrameWriter, persistently
from kotaemon_node.ports.later import RECONCILE, Again, Later, LaterJob
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.tools import Caller, Found, ToolFailed, ToolOutcomeUnknown, ToolSpec

_log = structlog.get_logger(__name__)

_RUNNING_AGAIN_S: Final = 1.0
_SEND_S: Final = 10.0
"""Within which a call behind a turn has to be sent, once its job is taken."""

Look = Literal["yes", "proof"]
"""What a job is for: to hear a "yes" early, or to know for certain."""


class Settling:
    """At the end of a turn: has its unknown calls found out about. Thread safe."""

    def __init__(
        self, later: Later, *, clock: Clock, looks_s: Sequence[float] = RECONCILE_LOOKS_S
    ) -> None:
        """``looks_s``: how long after the turn a tool is asked for an early "yes"."""
        self._later = later
        self._clock = clock
        self._looks_s = looks_s

    def __call__(self, work: Work, out: FrameWriter) -> None:
        """Put the jobs; who commits the turn has done so, and a repeat changes nothing."""
        for open_call in open_calls(out):
            for job in _jobs(work, open_call, self._looks_s):
                try:
                    persistently(partial(self._later.put, job), clock=self._clock)
                except (Overloaded, Invalid) as error:
                    _log.warning("call_not_reconciled", reason=str(error))


def _jobs(work: Work, open_call: OpenCall, looks_s: Sequence[float]) -> list[LaterJob]:
    claim = open_call.claim
    if claim.effects == "read" or not (claim.looks_up or claim.effects == "idempotent"):
        return []  # nobody can ever know
    lease = work.lease
    key = ledger_key(lease, open_call.step)
    spec = ToolSpec(claim.name, "", {}, claim.effects, looks_up=claim.looks_up)
    fields = {
        **call_fields(spec, claim.arguments, caller_of(work), key, claim.summary),
        "owner": lease.owner,
        "attempts": work.attempts,
    }
    proof_s = open_call.settled_in_s if claim.looks_up else open_call.over_in_s
    looks = [float(look_s) for look_s in looks_s if claim.looks_up and look_s < proof_s]
    return [
        LaterJob(
            # Another owner may find out more within the turn: its jobs are others.
            id=f"reconcile:{key}:{lease.owner}:{work.attempts}:{place}",
            kind=RECONCILE,
            tenant=lease.key.session.tenant,
            fields={**fields, "look": "proof" if place == len(looks) else "yes"},
            due_in_s=due_s,
            attempts_max=RECONCILE_ATTEMPTS_MAX,
        )
        for place, due_s in enumerate([*looks, proof_s])
    ]


class Reconciling:
    """Handlers of the jobs ``reconcile`` and ``slow_call``. Thread safe."""

    def __init__(
        self,
        calling: Calling,
        *,
        specs: Callable[[Caller], Sequence[ToolSpec]],
        turn_of: Callable[[TurnKey], Turn],
        later: Later,
        follow_ups: FollowUps,
        clock: Clock,
    ) -> None:
        """``specs`` as ``ToolSteps.specs``; ``turn_of`` returns a turn in whatever state."""
        self._calling = calling
        self._specs = specs
        self._turn_of = turn_of
        self._later = later
        self._follow_ups = follow_ups
        self._clock = clock

    def reconcile(self, job: LaterJob) -> None:
        """Find out what became of a call, and tell it; raises as ``engine.later`` wants it."""
        turn = self._ended(job)
        if turn is None:
            return
        call = self._call(job)
        if call.spec.looks_up and not self._did_not(job, call):
            return
        # It did not happen and will not, or happens once however often it is asked for.
        if call.spec.effects == "idempotent" and turn.state is State.DONE:
            self._again(job, call)
        elif call.spec.looks_up:
            self._tell(job, "did_not")

    def _did_not(self, job: LaterJob, call: Call) -> bool:
        """Tell whether it is proved that a call took no effect; an effect is told to the user."""
        found = self._asked(job, call)
        if found is None:
            return False
        if found.took_effect:
            self._tell(job, "happened", found.result)
            return False
        return bool(job.fields["look"] == "proof")

    def _ended(self, job: LaterJob) -> Turn | None:
        """Return the turn of a call; None where it is not this job's to tell anything."""
        fields = job.fields
        try:
            turn = self._turn_of(TurnKey(_session(job), fields["turn"]))
        except (NotFound, Gone):
            return None  # the session was deleted: nobody is there to be told
        if turn.state not in FINISHED:
            raise Again(_RUNNING_AGAIN_S, "its turn runs")
        by = (fields.get("owner", turn.owner), fields.get("attempts", turn.attempts))
        # Where another owner ended the turn, that has put jobs of its own.
        return turn if by == (turn.owner, turn.attempts) else None

    def slow(self, job: LaterJob) -> None:
        """Make a call that its turn did not wait for, and tell how it ended."""
        call = self._call(job)
        # Not ``attempt``: that falls again where the store failed after the call.
        again = job.begun > 1 or bool(job.fields["begun"])
        outcome = self._calling.made(call, again=again, stop=Stop())
        if outcome.state == "done":
            self._tell(job, "slow_done", outcome.value)
        elif outcome.state == "failed":
            self._tell(job, "slow_failed", outcome.value)
        elif not (call.spec.looks_up or call.spec.effects == "idempotent"):
            self._tell(job, "never_known")
        else:
            self._prove(job, call)

    def _prove(self, job: LaterJob, call: Call) -> None:
        """Have it found out when nothing of it can be under way any more."""
        spec = call.spec
        if not spec.looks_up:
            if job.attempt >= job.attempts_max:
                self._tell(job, "never_known")
                return
            raise ToolOutcomeUnknown("its answer was lost; it is called again under its key")
        proof = LaterJob(
            id=f"reconcile:{call.key}:slow",
            kind=RECONCILE,
            tenant=job.tenant,
            fields={**job.fields, "look": "proof"},
            due_in_s=_SEND_S + spec.timeout_s + TOOL_SLACK_S + spec.horizon_s,
            attempts_max=RECONCILE_ATTEMPTS_MAX,
        )
        persistently(partial(self._later.put, proof), clock=self._clock)

    def _asked(self, job: LaterJob, call: Call) -> Found | None:
        """Return what the tool's lookup says; None: nobody will know, and that was told."""
        try:
            return self._calling.lookup(call, stop=Stop())
        except (ToolFailed, ToolOutcomeUnknown):
            if job.fields.get("look") == "yes":
                return None  # a later job asks
            if job.attempt < job.attempts_max:
                raise
            self._tell(job, "never_known")
            return None

    def _again(self, job: LaterJob, call: Call) -> None:
        outcome = self._calling.made(call, again=True, stop=Stop())
        if outcome.state == "done":
            self._tell(job, "happened", outcome.value)
        elif outcome.state == "failed":
            self._tell(job, "refused", outcome.value)
        elif job.attempt < job.attempts_max:
            raise ToolOutcomeUnknown(f"{call.spec.name}: its outcome is still unknown")
        else:
            self._tell(job, "never_known")

    def _call(self, job: LaterJob) -> Call:
        fields = job.fields
        caller = Caller(
            tenant=job.tenant,
            session_id=fields["session"],
            turn_id=fields["turn"],
            user_id=fields["user_id"],
            channel=fields["channel"],
            context=fields["context"],
        )
        known = {spec.name: spec for spec in self._specs(caller)}.get(fields["name"])
        spec = known or ToolSpec(fields["name"], "", {}, fields["effects"])
        # What was declared when it was called holds for it.
        spec = replace(spec, effects=fields["effects"], looks_up=fields["looks_up"])
        by_s = self._clock.monotonic_s() + _SEND_S
        return Call(spec, fields["arguments"], caller, fields["key"], by_s=by_s)

    def _tell(self, job: LaterJob, told: Told, value: Any = None) -> None:
        fields = job.fields
        action = action_of(fields["name"], fields["arguments"], fields["summary"])
        tell = partial(
            self._follow_ups.tell,
            _session(job),
            ref=outcome_ref(fields["key"]),
            text=follow_up_texts(told, action=action, value=value),
            fields={"outcome": told, "key": fields["key"]},
        )
        # What was learned here is lost with this attempt: nobody may ask the tool again.
        persistently(tell, clock=self._clock)


def _session(job: LaterJob) -> SessionKey:
    return SessionKey(job.tenant, job.fields["session"])
