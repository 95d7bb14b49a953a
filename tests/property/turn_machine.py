"""Pods that claim, write, die and take over in any order, on the real scripts; see ``turn_model``.

What a pod does between two steps is cut into rules, so that it may die, be suspected or be late
between any two of them. Time passes by ageing the index of running turns.
"""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kotaemon_node.adapters.redis import RedisFrameLog, RedisSessionStore, RedisStore, keys
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.records import frame_of, turn_of
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import Signal, State, advance
from kotaemon_node.engine.recovery import Verdict, judge
from kotaemon_node.ports.sessions import ClaimRequest, Ending, FrameBatch, Lease, Orphan, Work
from tests.property.turn_model import QUEUED, THE_END, TurnModel

ANYBODY = Principal("default", "anonymous", "open")
OLD_S = limits.RUNNING_ENTRY_YOUNG_S + 1
_numbers = itertools.count()

pods = st.integers(0, 2)
turn_ids = st.sampled_from([f"t{number}" for number in range(9)])
digests = st.sampled_from(["same", "same", "same", "other"])
picks = st.integers(0, 31)
rarely = st.sampled_from([False, False, False, True])


class StagedStore(RedisStore):
    """A store on which a claim can be sent for an index entry that was made earlier."""

    def __init__(self, client: Any, patches: Sequence[tuple[str, str, str]] = ()) -> None:
        """``patches``: (script, text, text instead), to see that faults are found."""
        super().__init__(client)
        self.entered_ms: int | None = None
        for script, old, new in patches:
            assert old in self._source[script], (script, old)
            self._source[script] = self._source[script].replace(old, new)

    def run(self, script: str, names: Sequence[str], arguments: Sequence[Any]) -> Any:
        if script == "enter" and self.entered_ms is not None:
            entered_ms, self.entered_ms = self.entered_ms, None
            return entered_ms
        return super().run(script, names, arguments)


class TurnProtocol(RuleBasedStateMachine):
    """Three pods and one session id. ``executing`` is what each living pod has in memory."""

    def __init__(self, store: StagedStore) -> None:
        super().__init__()
        self.store = store
        self.sessions = RedisSessionStore(store, ttl_s=3600, idle_s=1800)
        self.log = RedisFrameLog(store, clock=SystemClock(), tasks=ThreadTasks())
        self.session = SessionKey("default", f"s{next(_numbers)}")
        self.model = TurnModel()
        self.pods = ["a0", "b0", "c0"]
        self.executing: dict[str, dict[str, Work]] = {pod: {} for pod in self.pods}
        self.leases: list[Lease] = []
        self.batches: list[FrameBatch] = []
        self.commits: list[tuple[Lease, Ending, bool]] = []
        self.entries: list[tuple[str, int]] = []
        self.index: set[str] = set()
        self.announced: set[str] = set()
        self.decided: dict[tuple[str, str], str] = {}
        self.names = SessionKeys.of(self.session)
        self.failed = False

    # Claiming.

    @rule(pod=pods, turn_id=turn_ids, digest=digests, reply_lost=rarely)
    def claim(self, pod: int, turn_id: str, digest: str, reply_lost: bool) -> None:
        self._claim(self.pods[pod], turn_id, digest, reply_lost=reply_lost)

    @rule(pod=pods, turn_id=turn_ids)
    def claim_unless_busy(self, pod: int, turn_id: str) -> None:
        self._claim(self.pods[pod], turn_id, "same", on_busy="reject")

    @rule(turn_id=turn_ids)
    def enter_the_index_and_stop(self, turn_id: str) -> None:
        shard, member = keys.running(self._key(turn_id))
        self.entries.append((turn_id, int(self.store.run("enter", [shard], [member]))))
        self.index.add(turn_id)

    @precondition(lambda self: self.entries)
    @rule(pod=pods, pick=picks)
    def go_on_to_claim(self, pod: int, pick: int) -> None:
        """A pod that was frozen behind its index entry wakes up."""
        turn_id, self.store.entered_ms = self.entries.pop(pick % len(self.entries))
        self._claim(self.pods[pod], turn_id, "same", late_ok=True)

    @rule(sure=rarely)
    def create(self, sure: bool) -> None:
        if not sure:
            return
        known, epoch = bool(self.model.epoch), self._new_epoch()
        word, _ = self._try(
            lambda: self.sessions.create(self.session, ANYBODY, epoch=epoch, fields={})
        )
        assert word == ("Conflict" if known else "ok")
        if not known:
            self.model.epoch, self.model.fence = epoch, 0

    # Writing.

    @precondition(lambda self: self._works())
    @rule(pick=picks, count=st.integers(0, 3), ahead=rarely, step=st.sampled_from(["", "r", "d"]))
    def write(self, pick: int, count: int, ahead: bool, step: str) -> None:
        """A pod writes for a turn that it believes to execute; it may have lost it."""
        _, work = self._work(pick)
        self._append(work.lease, count=count, ahead=ahead, step=step)

    @precondition(lambda self: self.leases)
    @rule(pick=picks, step=st.sampled_from(["", "r", "x"]))
    def write_under_any_lease_ever(self, pick: int, step: str) -> None:
        self._append(self.leases[pick % len(self.leases)], count=1, ahead=False, step=step)

    @precondition(lambda self: self.batches)
    @rule(pick=picks)
    def write_a_batch_again(self, pick: int) -> None:
        """A reply was lost; the batch may have been overtaken by anything meanwhile."""
        before = self._dump()
        self.log.append([self.batches[pick % len(self.batches)]])
        assert self._dump() == before

    @precondition(lambda self: self._works())
    @rule(pick=picks, take_next=st.booleans(), crash=st.sampled_from(["", "", "reply", "settle"]))
    def end(self, pick: int, take_next: bool, crash: str) -> None:
        """Commit and settle; the reply may be lost, or the pod die before it settles."""
        pod, work = self._work(pick)
        self._end(pod, work, take_next=take_next, crash=crash)

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def commit_under_any_lease_ever(self, pick: int) -> None:
        lease = self.leases[pick % len(self.leases)]
        if not self.model.holds(lease):
            turn = self.model.turns.get(lease.key.turn_id)
            if turn is None or turn.state != "committed" or turn.fence != lease.fence:
                self._commit(lease, self._ending(lease, State.DONE), take_next=True)

    @precondition(lambda self: self._works())
    @rule(pick=picks, off=st.sampled_from([-1, 1, 2]))
    def commit_under_a_wrong_number(self, pick: int, off: int) -> None:
        _, work = self._work(pick)
        self._commit(work.lease, self._ending(work.lease, State.DONE, off=off), take_next=True)

    @precondition(lambda self: self.commits)
    @rule(pick=picks)
    def commit_again(self, pick: int) -> None:
        """The pod did not get the reply, and asks again; much may have happened meanwhile."""
        lease, ending, take_next = self.commits[-1 - pick % len(self.commits)]
        before = self._dump()
        given = self._commit(lease, ending, take_next=take_next)
        assert self._dump() == before
        self._keep(lease.owner, given)

    # Changing hands.

    @rule(pod=pods)
    def die(self, pod: int) -> None:
        self._die(self.pods[pod])

    @rule(pod=pods)
    def sweep(self, pod: int) -> None:
        """Do with each entry of the index what the product's recovery says."""
        for orphan in self._orphans():
            self._treat(orphan, self.pods[pod])

    @precondition(lambda self: self.model.open())
    @rule(pod=pods, pick=picks)
    def suspect(self, pod: int, pick: int) -> None:
        """Take a turn from an owner that may well be alive."""
        turn = self.model.open()[pick % len(self.model.open())]
        if turn.turn_id not in self.executing[self.pods[pod]]:
            self._seize(turn.turn_id, self.pods[pod], from_owner=turn.owner)

    @rule(pod=pods, turn_id=turn_ids, owner=st.sampled_from(["a0", "nobody", ""]))
    def take_from(self, pod: int, turn_id: str, owner: str) -> None:
        """Take a turn from an owner that may not be its owner any more."""
        if turn_id not in self.executing[self.pods[pod]]:
            self._seize(turn_id, self.pods[pod], from_owner=owner)

    @rule(pod=pods, turn_id=turn_ids, how=st.sampled_from(["cancel", "interrupt"]))
    def cancel(self, pod: int, turn_id: str, how: str) -> None:
        """The first half of ending a turn; ``end`` is the second, unless the pod dies."""
        self._seize(turn_id, self.pods[pod], from_owner=None, ending=how)

    @precondition(lambda self: self._works())
    @rule(pick=picks)
    def hand_over(self, pick: int) -> None:
        pod, work = self._work(pick)
        self._release(work.lease)
        self.executing[pod].pop(work.lease.key.turn_id)

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def hand_over_under_any_lease_ever(self, pick: int) -> None:
        lease = self.leases[pick % len(self.leases)]
        if not self.model.holds(lease):
            self._release(lease)

    # The session and the clock.

    @rule(sure=rarely)
    def delete(self, sure: bool) -> None:
        if sure:
            word, _ = self._try(lambda: self.sessions.delete(self.session, ANYBODY))
            expected = self.model.delete()
            assert word == ("ok" if expected == "deleted" else expected)
            self.announced.clear()
            self.decided.clear()

    @rule(seconds=st.sampled_from([2, 6, OLD_S]))
    def time_passes(self, seconds: float) -> None:
        self._age(seconds)

    # What holds after every step.

    @invariant()
    def the_store_holds_what_the_model_says(self) -> None:
        try:
            self._compare(self._dump())
        except BaseException:
            self.failed = True
            raise

    def teardown(self) -> None:
        """Left alone by everybody else, one pod ends every accepted turn, exactly once."""
        if self.failed:
            return
        for pod in list(self.pods):
            self._die(pod)
        accepted = {turn.turn_id for turn in self.model.turns.values()}
        heir = self.pods[0]
        for _ in range(2 * len(accepted) + 3):
            self._age(OLD_S)
            for orphan in self._orphans():
                self._treat(orphan, heir)
            while self.executing[heir]:
                self._end(heir, next(iter(self.executing[heir].values())), take_next=True)
        assert self._orphans() == []
        assert not self.model.open()
        rows = self.store.client.lrange(self.names.turns, 0, -1)
        ended = [turn_of(row, version=1)[0] for row in rows]
        assert sorted(turn.turn_id for turn in ended) == sorted(accepted)
        self._compare(self._dump())
        self.store.client.delete(*self._keys_of_session())

    def _compare(self, dump: dict[str, Any]) -> None:
        model, meta, turns = self.model, dump["meta"], dump["turns"]
        # I1: what was accepted is in the history once, or open; nothing else is.
        assert [(row["turn_id"], row["answer"]) for row in turns] == model.history
        assert len({row["turn_id"] for row in turns}) == len(turns)
        assert dump["open"].keys() == {turn.turn_id for turn in model.open()}
        assert dump["seen"].keys() == model.turns.keys() | model.gone
        assert {t for t, value in dump["seen"].items() if value == "gone"} == model.gone
        # I5: in the order in which they were accepted, but for those ended while they waited.
        places = [model.turns[row["turn_id"]] for row in turns]
        in_turn = [turn.place for turn in places if not turn.out_of_turn]
        assert in_turn == sorted(in_turn)
        assert dump["queue"] == model.queue
        if not model.epoch:
            assert meta == {}
        else:
            self._compare_head(meta, dump["raw_turns"])
        for turn_id, turn in model.turns.items():
            self._compare_frames(turn.frames, dump["frames"][turn_id])
        for turn_id in model.gone:
            assert dump["frames"][turn_id] == []
        for turn in model.open():
            self._compare_open(turn.turn_id, dump["open"][turn.turn_id])
        # A sweep finds whatever is not finished or not announced.
        unsettled = {turn.turn_id for turn in model.turns.values()} - self.announced
        assert unsettled <= dump["index"] == self.index

    def _compare_head(self, meta: dict[str, str], raw_turns: Sequence[bytes]) -> None:
        model, chain = self.model, ""
        for raw in raw_turns:
            chain = hashlib.sha1(chain.encode() + raw, usedforsecurity=False).hexdigest()
        assert meta["hash"] == chain
        assert int(meta["version"]) == len(raw_turns)
        assert (meta["epoch"], int(meta["fence"])) == (model.epoch, model.fence)
        assert meta["running"] == model.running
        if model.running:
            assert model.turns[model.running].state == "running"

    def _compare_frames(self, contents: Sequence[str], stored: Sequence[tuple[str, str]]) -> None:
        # I3: numbers 1..n; I4: nothing that was not written under the lease of its time.
        assert [entry_id for entry_id, _ in stored] == [
            f"{number}-0" for number in range(1, len(stored) + 1)
        ]
        assert [content for _, content in stored] == list(contents)

    def _compare_open(self, turn_id: str, row: dict[str, str]) -> None:
        turn = self.model.turns[turn_id]
        assert (row["state"], row["owner"]) == (turn.state, turn.owner)
        assert (int(row["attempts"]), int(row["losses"])) == (turn.attempts, turn.losses)
        assert row.get("ending", "") == turn.ending
        if turn.state == "running":
            assert int(row["fence"]) == turn.fence
            # Beside the running turn only those run that are being ended.
            assert turn_id == self.model.running or turn.ending
        journal = {name[2:]: value for name, value in row.items() if name.startswith("j:")}
        assert {step: orjson.loads(value) for step, value in journal.items()} == turn.journal
        for step, value in journal.items():
            assert self.decided.setdefault((turn_id, step), value) == value

    # Steps: each is made on the store and on the model, which must agree on its outcome.

    def _claim(
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
            key=self._key(turn_id),
            principal=ANYBODY,
            digest=digest,
            message=f"message of {turn_id}",
            options={},
            on_busy=on_busy,
            owner=pod,
            trace_id=f"trace-{turn_id}",
            create_session=True,
            new_epoch=self._new_epoch(),
        )
        late = False
        if late_ok:
            assert self.store.entered_ms is not None
            late = self._now_ms() - self.store.entered_ms > limits.CLAIM_ENTRY_AGE_MAX_S * 1000
        else:
            self.index.add(turn_id)
        word, claim = self._try(lambda: self.sessions.claim(request))
        if late:
            assert word == "Unavailable"
            return
        expected = self.model.claim(
            turn_id, digest, owner=pod, on_busy=on_busy, new_epoch=request.new_epoch
        )
        assert (word if claim is None else claim.outcome.value) == expected
        if claim is not None and claim.work is not None:
            self._keep("" if reply_lost else pod, claim.work)

    def _append(self, lease: Lease, *, count: int, ahead: bool, step: str) -> None:
        turn = self.model.turns.get(lease.key.turn_id)
        first = (len(turn.frames) if turn else 0) + 1 + 2 * ahead
        contents = [f"{lease.owner}.{next(_numbers)} " for _ in range(count)]
        journal = [(step, f"{lease.owner}.{next(_numbers)}")] if step else []
        bodies = tuple(FrameBody("text", {"content": text, "offset": 0}) for text in contents)
        batch = FrameBatch(lease, first, bodies, tuple(journal))
        stale = not self.model.holds(lease)
        before = self._dump() if stale else None
        (error,) = self.log.append([batch])
        expected = self.model.append(
            lease, first, contents, [f"{name}={value}" for name, value in journal]
        )
        assert (type(error).__name__ if error else "stored") == expected
        if stale:
            assert self._dump() == before
        if error is None:
            self.batches.append(batch)

    def _end(self, pod: str, work: Work, *, take_next: bool, crash: str = "") -> None:
        lease = work.lease
        state = State.FAILED if work.losses >= limits.TURN_ATTEMPTS_MAX else State.DONE
        if work.ending:
            state = advance(State.RUNNING, Signal(work.ending))
        ending = self._ending(lease, state)
        held = self.model.holds(lease)
        given = self._commit(lease, ending, take_next=take_next)
        self.executing[pod].pop(lease.key.turn_id)
        if not held:
            return  # the pod was told, and drops the turn
        if crash != "reply":
            self._keep(pod, given)
        if crash == "settle":
            self._die(pod)
        elif not crash:
            self._settle(lease.key.turn_id)

    def _commit(self, lease: Lease, ending: Ending, *, take_next: bool) -> Work | None:
        stale = not self.model.holds(lease)
        before = self._dump() if stale else None
        word, committed = self._try(
            lambda: self.sessions.commit(lease, ending, take_next=take_next)
        )
        expected = self.model.commit(
            lease, seq=ending.seq, answer=ending.turn.answer, take_next=take_next
        )
        assert word == ("ok" if expected == "committed" else expected)
        if stale:
            assert self._dump() == before
        if committed is None:
            return None
        turn_id = lease.key.turn_id
        assert committed.version == self.model.turns[turn_id].version
        following = committed.next.lease.key.turn_id if committed.next else ""
        assert following == self.model.given_by(turn_id, lease.owner)
        self.commits.append((lease, ending, take_next))
        given: Work | None = committed.next
        return given

    def _seize(self, turn_id: str, pod: str, *, from_owner: str | None, ending: str = "") -> None:
        work = self.sessions.seize(self._key(turn_id), pod, from_owner=from_owner, ending=ending)
        expected = self.model.seize(turn_id, pod, from_owner=from_owner, ending=ending)
        assert ("owned" if work else "none") == expected
        self._keep(pod, work)

    def _release(self, lease: Lease) -> None:
        word, _ = self._try(lambda: self.sessions.release(lease))
        expected = self.model.release(lease)
        assert word == ("ok" if expected == "released" else expected)

    def _treat(self, orphan: Orphan, pod: str) -> None:
        turn_id = orphan.key.turn_id
        verdict = judge(
            orphan,
            lost=lambda owner: owner not in self.pods,
            mine=pod,
            executing=turn_id in self.executing[pod],
        )
        match verdict:
            case Verdict.FORGET:
                self.sessions.forget(orphan.key, older_than_s=limits.RUNNING_ENTRY_YOUNG_S)
                self.index.discard(turn_id)
            case Verdict.RESEND:
                self._settle(turn_id)
            case Verdict.TAKE if turn_id not in self.executing[pod]:
                self._seize(turn_id, pod, from_owner=orphan.owner)
            case _:
                pass

    def _settle(self, turn_id: str) -> None:
        self.sessions.settle(self._key(turn_id))
        self.index.discard(turn_id)
        self.announced.add(turn_id)

    def _keep(self, pod: str, work: Work | None) -> None:
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
        assert [_content(frame.type, frame.fields) for frame in work.stored] == turn.frames
        self.leases.append(work.lease)
        if pod in self.executing:
            # Nobody may be told twice to execute a turn, except in the place of its older try.
            held = self.executing[pod].get(turn.turn_id)
            assert held is None or held.lease.fence <= work.lease.fence
            self.executing[pod][turn.turn_id] = work

    def _die(self, pod: str) -> None:
        place = self.pods.index(pod)
        del self.executing[pod]
        self.pods[place] = f"{pod[0]}{next(_numbers)}"
        self.executing[self.pods[place]] = {}

    # Looking.

    def _works(self) -> list[tuple[str, Work]]:
        return [(pod, work) for pod, held in self.executing.items() for work in held.values()]

    def _work(self, pick: int) -> tuple[str, Work]:
        works = self._works()
        return works[pick % len(works)]

    def _key(self, turn_id: str) -> TurnKey:
        return TurnKey(self.session, turn_id)

    def _ending(self, lease: Lease, state: State, *, off: int = 0) -> Ending:
        turn = self.model.turns.get(lease.key.turn_id)
        answer = f"answer {next(_numbers)} of {lease.owner}"
        body = FrameBody("done", {"state": state.value})
        seq = (len(turn.frames) if turn else 0) + 1 + off
        return Ending(Turn(lease.key.turn_id, "message", state, answer=answer), body, seq)

    def _try(self, call: Callable[[], Any]) -> tuple[str, Any]:
        """Return "ok" and what the call returns, or the name of the error it raises."""
        try:
            return "ok", call()
        except NodeError as error:
            return type(error).__name__, None

    def _orphans(self) -> list[Orphan]:
        orphans = self.sessions.orphans(limit=10_000)
        return [orphan for orphan in orphans if orphan.key.session == self.session]

    def _new_epoch(self) -> str:
        return f"epoch-{next(_numbers)}"

    def _now_ms(self) -> float:
        seconds, micros = self.store.client.time()
        return float(seconds * 1000 + micros / 1000)

    def _age(self, seconds: float) -> None:
        """Make everything that is timed older."""
        milliseconds = int(seconds * 1000)
        self.entries = [(turn_id, at - milliseconds) for turn_id, at in self.entries]
        pipe = self.store.client.pipeline(transaction=False)
        for turn_id in self.index:
            shard, member = keys.running(self._key(turn_id))
            pipe.zincrby(shard, -milliseconds, member)
        pipe.execute()

    def _keys_of_session(self) -> list[str]:
        turn_ids = [*self.model.turns, *self.model.gone]
        streams = [self.names.frames(turn_id) for turn_id in turn_ids]
        return [*self.names.head(), *streams, *map(self.names.turn, turn_ids)]

    def _dump(self) -> dict[str, Any]:
        """Return all that the store holds of the session."""
        turn_ids = sorted(self.model.turns.keys() | self.model.gone)
        pipe = self.store.client.pipeline(transaction=False)
        pipe.hgetall(self.names.meta)
        pipe.lrange(self.names.turns, 0, -1)
        pipe.lrange(self.names.queue, 0, -1)
        pipe.hgetall(self.names.seen)
        pipe.zrange(keys.running(self._key("any"))[0], 0, -1)
        for turn_id in turn_ids:
            pipe.hgetall(self.names.turn(turn_id))
            pipe.xrange(self.names.frames(turn_id))
        meta, turns, queue, seen, entries, *rows = pipe.execute()
        members = [keys.running_member(entry.decode()) for entry in entries]
        return {
            "meta": _texts(meta),
            "raw_turns": turns,
            "turns": [orjson.loads(row) for row in turns],
            "queue": [turn_id.decode() for turn_id in queue],
            "seen": _texts(seen),
            "index": {key.turn_id for key in members if key.session == self.session},
            "open": {
                turn_id: _texts(row)
                for turn_id, row in zip(turn_ids, rows[::2], strict=True)
                if row
            },
            "frames": {
                turn_id: [_entry(*entry) for entry in stream]
                for turn_id, stream in zip(turn_ids, rows[1::2], strict=True)
            },
        }


def _texts(row: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in row.items()}


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> tuple[str, str]:
    frame = frame_of(entry_id, fields, turn_id="", trace_id="")
    return entry_id.decode(), _content(frame.type, frame.fields)


def _content(kind: str, fields: Any) -> str:
    if kind == "text":
        return str(fields["content"])
    return QUEUED if kind == "status" else THE_END
