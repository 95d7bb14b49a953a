"""Steps of pods on one session: each is made on the store and on the model, which must agree."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from kotaemon_node.adapters.redis import (
    Archive,
    RedisFrameLog,
    RedisSessionStore,
    RedisStore,
    keys,
)
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import Signal, State, advance
from kotaemon_node.engine.recovery import Verdict, judge
from kotaemon_node.ports.frame_log import FrameBatch
from kotaemon_node.ports.sessions import ClaimRequest, Ending, Lease, Orphan, Work
from tests.fakes.copies import MemoryCopies
from tests.property.turn_laws import SessionLaws, content_of

ANYBODY = Principal("default", "anonymous", "open")
TURN_IDS = [f"t{number}" for number in range(9)]
_numbers = itertools.count()


class StagedStore(RedisStore):
    """A store on which a claim can be sent for an index entry that was made earlier."""

    def __init__(self, client: Any, patches: Sequence[tuple[str, str, str]] = ()) -> None:
        """``patches``: (script, text, text instead), to see that faults are found."""
        super().__init__(client)
        self.entered_ms: int | None = None
        for script, old, new in patches:
            sources = self._scripts._sources
            assert old in sources[script], (script, old)
            sources[script] = sources[script].replace(old, new)

    def run(self, script: str, names: Sequence[str], arguments: Sequence[Any]) -> Any:
        if script == "enter" and self.entered_ms is not None:
            entered_ms, self.entered_ms = self.entered_ms, None
            return entered_ms
        return super().run(script, names, arguments)


class TurnSteps(SessionLaws):
    """Three pods and one session id. ``executing`` is what each living pod has in memory."""

    def __init__(self, store: StagedStore) -> None:
        super().__init__(store, SessionKey("default", f"s{next(_numbers)}"))
        self.store = store
        self.attic = MemoryCopies()
        archive = Archive(self.attic, kept_s=9e6, indexed=False)
        self.sessions = RedisSessionStore(store, ttl_s=3600, idle_s=1800, archive=archive)
        self.log = RedisFrameLog(store, clock=SystemClock(), tasks=ThreadTasks())
        self.pods = ["a0", "b0", "c0"]
        self.executing: dict[str, dict[str, Work]] = {pod: {} for pod in self.pods}
        self.leases: list[Lease] = []
        """All that were ever given."""
        self.batches: list[FrameBatch] = []
        """All that were ever stored."""
        self.commits: list[tuple[Lease, Ending, bool]] = []
        """All that were ever made, and whether they took the next turn."""
        self.entries: list[tuple[str, int]] = []
        """Entries of the index (ms) whose claim has not been sent."""
        self.looked: list[Orphan] = []
        """What a sweep saw that has not done anything yet."""

    def make_claim(
        self,
        pod: str,
        turn_id: str,
        digest: str,
        *,
        on_busy: Any = "enqueue",
        reply_lost: bool = False,
        late_ok: bool = False,
    ) -> None:
        request = ClaimRequest(
            key=self.key_of(turn_id),
            principal=ANYBODY,
            digest=digest,
            message=f"message of {turn_id}",
            options={},
            on_busy=on_busy,
            owner=pod,
            trace_id=f"trace-{turn_id}",
            create_session=True,
            new_epoch=self.new_epoch(),
        )
        late = False
        if late_ok:
            assert self.store.entered_ms is not None
            late = self.now_ms() - self.store.entered_ms > limits.CLAIM_ENTRY_AGE_MAX_S * 1000
        else:
            self.index.add(turn_id)
        word, claim = self.attempt(lambda: self.sessions.claim(request))
        if late:
            assert word == "Unavailable"
            return
        expected = self.model.claim(
            turn_id, digest, owner=pod, on_busy=on_busy, new_epoch=request.new_epoch
        )
        assert (word if claim is None else claim.outcome.value) == expected
        if claim is not None and claim.work is not None:
            self.keep("" if reply_lost else pod, claim.work)

    def make_append(self, lease: Lease, *, count: int, ahead: bool, step: str) -> None:
        turn = self.model.turns.get(lease.key.turn_id)
        first = (len(turn.frames) if turn else 0) + 1 + 2 * ahead
        contents = [f"{lease.owner}.{next(_numbers)} " for _ in range(count)]
        journal = [(step, f"{lease.owner}.{next(_numbers)}")] if step else []
        bodies = tuple(FrameBody("text", {"content": text, "offset": 0}) for text in contents)
        batch = FrameBatch(lease, first, bodies, tuple(journal))
        stale = not self.model.holds(lease)
        before = self.dump() if stale else None
        (error,) = self.log.append([batch])
        expected = self.model.append(
            lease, first, contents, [f"{name}={value}" for name, value in journal]
        )
        assert (type(error).__name__ if error else "stored") == expected
        if stale:
            assert self.dump() == before
        if error is None:
            self.batches.append(batch)

    def make_end(self, pod: str, work: Work, *, take_next: bool, crash: str = "") -> None:
        lease = work.lease
        state = State.FAILED if work.losses >= limits.TURN_ATTEMPTS_MAX else State.DONE
        if work.ending:
            state = advance(State.RUNNING, Signal(work.ending))
        ending = self.ending_of(lease, state)
        held = self.model.holds(lease)
        given = self.make_commit(lease, ending, take_next=take_next)
        self.executing[pod].pop(lease.key.turn_id)
        if not held:
            return  # the pod was told, and drops the turn
        if crash != "reply":
            self.keep(pod, given)
        if crash == "settle":
            self.bury(pod)
        elif not crash:
            self.settle(lease.key.turn_id)

    def make_commit(self, lease: Lease, ending: Ending, *, take_next: bool) -> Work | None:
        stale = not self.model.holds(lease)
        before = self.dump() if stale else None
        word, committed = self.attempt(
            lambda: self.sessions.commit(lease, ending, take_next=take_next)
        )
        expected = self.model.commit(
            lease, seq=ending.seq, answer=ending.turn.answer, take_next=take_next
        )
        assert word == ("ok" if expected == "committed" else expected)
        if stale:
            assert self.dump() == before
        if committed is None:
            return None
        turn_id = lease.key.turn_id
        assert committed.version == self.model.turns[turn_id].version
        following = committed.next.lease.key.turn_id if committed.next else ""
        assert following == self.model.given_by(turn_id, lease.owner)
        self.commits.append((lease, ending, take_next))
        given: Work | None = committed.next
        return given

    def make_seizure(
        self, turn_id: str, pod: str, *, from_owner: str | None, ending: str = ""
    ) -> None:
        work = self.sessions.seize(self.key_of(turn_id), pod, from_owner=from_owner, ending=ending)
        expected = self.model.seize(turn_id, pod, from_owner=from_owner, ending=ending)
        assert ("owned" if work else "none") == expected
        self.keep(pod, work)

    def make_release(self, lease: Lease) -> None:
        word, _ = self.attempt(lambda: self.sessions.release(lease))
        expected = self.model.release(lease)
        assert word == ("ok" if expected == "released" else expected)

    def treat(self, orphan: Orphan, pod: str) -> None:
        turn_id = orphan.key.turn_id
        verdict = judge(
            orphan,
            lost=lambda owner: owner not in self.pods,
            believing=True,
            mine=pod,
            executing=turn_id in self.executing[pod],
        )
        match verdict:
            case Verdict.FORGET:
                age_s = {other.key: other.age_s for other in self.orphans()}.get(orphan.key, 0.0)
                self.sessions.forget(orphan.key, older_than_s=limits.RUNNING_ENTRY_YOUNG_S)
                if age_s >= limits.RUNNING_ENTRY_YOUNG_S:
                    self.index.discard(turn_id)
            case Verdict.RESEND:
                self.settle(turn_id)
            case Verdict.TAKE if turn_id not in self.executing[pod]:
                self.make_seizure(turn_id, pod, from_owner=orphan.owner)
            case _:
                pass

    def settle(self, turn_id: str) -> None:
        self.sessions.settle(self.key_of(turn_id))
        self.index.discard(turn_id)
        self.announced.add(turn_id)

    def keep(self, pod: str, work: Work | None) -> None:
        """Note a lease that was given; ``pod`` executes it, unless it is "" or dead."""
        if work is None:
            return
        turn = self.model.turns[work.lease.key.turn_id]
        assert self.model.holds(work.lease)
        assert (work.attempts, work.losses, work.ending) == (
            turn.attempts,
            turn.losses,
            turn.ending,
        )
        assert work.journal == turn.journal
        assert [content_of(frame.type, frame.fields) for frame in work.stored] == turn.frames
        self.leases.append(work.lease)
        if pod in self.executing:
            # Nobody may be told twice to execute a turn, except in the place of its older try.
            held = self.executing[pod].get(turn.turn_id)
            assert held is None or held.lease.fence <= work.lease.fence
            self.executing[pod][turn.turn_id] = work

    def bury(self, pod: str) -> None:
        place = self.pods.index(pod)
        del self.executing[pod]
        self.pods[place] = f"{pod[0]}{next(_numbers)}"
        self.executing[self.pods[place]] = {}

    # Looking.

    def works(self) -> list[tuple[str, Work]]:
        return [(pod, work) for pod, held in self.executing.items() for work in held.values()]

    def work_of(self, pick: int) -> tuple[str, Work]:
        works = self.works()
        return works[pick % len(works)]

    def stale_leases(self) -> list[Lease]:
        """Return the leases that stand no more, but for those whose commit may be repeated."""
        return [
            lease
            for lease in self.leases
            if not self.model.holds(lease) and not self.committed_under(lease)
        ]

    def committed_under(self, lease: Lease) -> bool:
        turn = self.model.turns.get(lease.key.turn_id)
        return (
            turn is not None
            and (self.model.epoch, turn.state) == (lease.epoch, "committed")
            and turn.fence == lease.fence
        )

    def unknown_ids(self) -> list[str]:
        return [t for t in TURN_IDS if t not in self.model.turns and t not in self.model.gone]

    def key_of(self, turn_id: str) -> TurnKey:
        return TurnKey(self.session, turn_id)

    def ending_of(self, lease: Lease, state: State, *, off: int = 0) -> Ending:
        turn = self.model.turns.get(lease.key.turn_id)
        answer = f"answer {next(_numbers)} of {lease.owner}"
        body = FrameBody("done", {"state": state.value})
        seq = (len(turn.frames) if turn else 0) + 1 + off
        return Ending(Turn(lease.key.turn_id, "message", state, answer=answer), body, seq)

    def attempt(self, call: Callable[[], Any]) -> tuple[str, Any]:
        """Return "ok" and what the call returns, or the name of the error it raises."""
        try:
            return "ok", call()
        except NodeError as error:
            return type(error).__name__, None

    def orphans(self) -> list[Orphan]:
        orphans = self.sessions.orphans(limit=10_000)
        return [orphan for orphan in orphans if orphan.key.session == self.session]

    def new_epoch(self) -> str:
        return f"epoch-{next(_numbers)}"

    def now_ms(self) -> float:
        seconds, micros = self.store.client.time()
        return float(seconds * 1000 + micros / 1000)

    def make_older(self, seconds: float) -> None:
        """Make everything that is timed older."""
        milliseconds = int(seconds * 1000)
        self.entries = [(turn_id, at - milliseconds) for turn_id, at in self.entries]
        pipe = self.store.client.pipeline(transaction=False)
        for turn_id in self.index:
            shard, member = keys.running(self.key_of(turn_id))
            pipe.zincrby(shard, -milliseconds, member)
        pipe.execute()
