"""Pods that claim, write, die and take over in any order, on the real scripts; see ``turn_model``.

What a pod does between two steps is cut into rules, so that it may die, be suspected or be late
between any two of them. Time passes by ageing the index of running turns.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.records import turn_of
from kotaemon_node.domain import limits
from kotaemon_node.domain.turn import State
from tests.property.archive_steps import ArchiveSteps
from tests.property.turn_laws import PLAIN
from tests.property.turn_steps import ANYBODY, TURN_IDS, StagedStore

OLD_S = limits.RUNNING_ENTRY_YOUNG_S + 1

pods = st.integers(0, 2)
turn_ids = st.sampled_from(TURN_IDS)
digests = st.sampled_from(["same", "same", "same", "other"])
picks = st.integers(0, 31)
rarely = st.sampled_from([False, False, False, True])


class TurnProtocol(ArchiveSteps, RuleBasedStateMachine):
    """The steps in any order."""

    def __init__(self, store: StagedStore) -> None:
        RuleBasedStateMachine.__init__(self)
        ArchiveSteps.__init__(self, store)
        self.copies = []
        self.failed = False

    # Claiming.

    @rule(pod=pods, turn_id=turn_ids, digest=digests, reply_lost=rarely)
    def claim(self, pod: int, turn_id: str, digest: str, reply_lost: bool) -> None:
        self.make_claim(self.pods[pod], turn_id, digest, reply_lost=reply_lost)

    @precondition(lambda self: self.unknown_ids())
    @rule(pod=pods, reject=rarely)
    def claim_a_new_one(self, pod: int, reject: bool) -> None:
        on_busy = "reject" if reject else "enqueue"
        self.make_claim(self.pods[pod], self.unknown_ids()[0], "same", on_busy=on_busy)

    @rule(turn_id=turn_ids)
    def enter_the_index_and_stop(self, turn_id: str) -> None:
        shard, member = keys.running(self.key_of(turn_id))
        self.entries.append((turn_id, int(self.store.run("enter", [shard], [member]))))
        self.index.add(turn_id)

    @precondition(lambda self: self.entries)
    @rule(pod=pods, pick=picks)
    def go_on_to_claim(self, pod: int, pick: int) -> None:
        """A pod that was frozen behind its index entry wakes up."""
        turn_id, self.store.entered_ms = self.entries.pop(pick % len(self.entries))
        self.make_claim(self.pods[pod], turn_id, "same", late_ok=True)

    # Writing.

    @precondition(lambda self: self.works())
    @rule(pick=picks, count=st.integers(0, 3), ahead=rarely, step=st.sampled_from(["", "r", "d"]))
    def write(self, pick: int, count: int, ahead: bool, step: str) -> None:
        """A pod writes for a turn that it believes to execute; it may have lost it."""
        _, work = self.work_of(pick)
        self.make_append(work.lease, count=count, ahead=ahead, step=step)

    @precondition(lambda self: self.stale_leases())
    @rule(pick=picks, what=st.sampled_from(["write", "commit", "hand over"]))
    def act_under_a_lease_that_fell(self, pick: int, what: str) -> None:
        stale = self.stale_leases()
        lease = stale[-1 - pick % len(stale)]
        if what == "write":
            self.make_append(lease, count=1, ahead=False, step="r")
        elif what == "commit":
            self.make_commit(lease, self.ending_of(lease, State.DONE), take_next=True)
        else:
            self.make_release(lease)

    @precondition(lambda self: self.batches)
    @rule(pick=picks)
    def write_a_batch_again(self, pick: int) -> None:
        """A reply was lost; the batch may have been overtaken by anything meanwhile."""
        before = self.dump()
        self.log.append([self.batches[pick % len(self.batches)]])
        assert self.dump() == before

    @precondition(lambda self: self.works())
    @rule(pick=picks, take_next=st.booleans(), crash=st.sampled_from(["", "", "reply", "settle"]))
    def end(self, pick: int, take_next: bool, crash: str) -> None:
        """Commit and settle; the reply may be lost, or the pod die before it settles."""
        pod, work = self.work_of(pick)
        self.make_end(pod, work, take_next=take_next, crash=crash)

    @precondition(lambda self: self.works())
    @rule(pick=picks, off=st.sampled_from([-1, 1, 2]))
    def commit_under_a_wrong_number(self, pick: int, off: int) -> None:
        _, work = self.work_of(pick)
        self.make_commit(
            work.lease, self.ending_of(work.lease, State.DONE, off=off), take_next=True
        )

    @precondition(lambda self: self.commits)
    @rule(pick=picks)
    def commit_again(self, pick: int) -> None:
        """The pod did not get the reply, and asks again; much may have happened meanwhile."""
        lease, ending, take_next = self.commits[-1 - pick % len(self.commits)]
        before = self.dump()
        given = self.make_commit(lease, ending, take_next=take_next)
        assert self.dump() == before
        self.keep(lease.owner, given)

    # Changing hands.

    @rule(pod=pods)
    def die(self, pod: int) -> None:
        self.bury(self.pods[pod])

    @rule(pod=pods, pause=rarely)
    def sweep(self, pod: int, pause: bool) -> None:
        """Do with each entry of the index what the product's recovery says, perhaps later."""
        orphans, self.looked = self.looked or self.orphans(), []
        if pause:
            self.looked = orphans
            return
        for orphan in orphans:
            self.treat(orphan, self.pods[pod])

    @precondition(lambda self: self.model.open())
    @rule(pod=pods, pick=picks, wrongly=rarely)
    def suspect(self, pod: int, pick: int, wrongly: bool) -> None:
        """Take a turn from an owner that may well be alive, or is not its owner any more."""
        turn = self.model.open()[pick % len(self.model.open())]
        if turn.turn_id not in self.executing[self.pods[pod]]:
            owner = "nobody" if wrongly else turn.owner
            self.make_seizure(turn.turn_id, self.pods[pod], from_owner=owner)

    @precondition(lambda self: self.model.turns)
    @rule(pod=pods, pick=picks, how=st.sampled_from(["cancel", "interrupt"]))
    def cancel(self, pod: int, pick: int, how: str) -> None:
        """The first half of ending a turn; ``end`` is the second, unless the pod dies."""
        known = [turn.turn_id for turn in self.model.open()] or list(self.model.turns)
        self.make_seizure(known[pick % len(known)], self.pods[pod], from_owner=None, ending=how)

    @precondition(lambda self: self.works())
    @rule(pick=picks)
    def hand_over(self, pick: int) -> None:
        pod, work = self.work_of(pick)
        self.make_release(work.lease)
        self.executing[pod].pop(work.lease.key.turn_id)

    # The session and the clock.

    @rule(what=st.sampled_from(["", "", "", "", "create", "delete"]))
    def create_or_delete(self, what: str) -> None:
        if what == "create":
            known, epoch = bool(self.model.epoch), self.new_epoch()
            word, _ = self.attempt(
                lambda: self.sessions.create(self.session, ANYBODY, epoch=epoch, fields={})
            )
            assert word == ("Conflict" if known else "ok")
            if not known:
                self.model.epoch, self.model.fence = epoch, 0
        elif what == "delete":
            self.make_deletion()

    def make_deletion(self) -> None:
        word, _ = self.attempt(lambda: self.sessions.delete(self.session, ANYBODY))
        expected = self.model.delete()
        assert word == ("ok" if expected == "deleted" else expected)
        self.announced.clear()
        self.decided.clear()

    # The archive.

    @precondition(lambda self: self.model.epoch)
    @rule(
        between=st.sampled_from(["", "", "claim", "turn", "delete"]),
        then=st.sampled_from(["read", "claim", "claim", "create", "delete"]),
        turn_id=turn_ids,
        pick=picks,
    )
    def rest_and_be_archived(self, between: str, then: str, turn_id: str, pick: int) -> None:
        """All turns end and the session is copied; something may come before it is removed."""
        self.end_all()
        self.make_copy()
        if between == "delete":
            self.make_deletion()
        elif between:
            self.make_claim(self.pods[0], turn_id, "same")
        if between == "turn":
            self.end_all()
        if self.make_archive(-1):
            self.come_back(then, turn_id)
        # What was copied long ago is refused, unless nothing happened since.
        elif self.make_archive(pick):
            self.bring_back()

    def come_back(self, then: str, turn_id: str) -> None:
        """Somebody asks for the archived session."""
        if then == "claim":
            self.make_claim(self.pods[1], turn_id, "same")
            return
        if then == "delete":
            self.make_deletion()
            return
        if then == "create":
            word, _ = self.attempt(
                lambda: self.sessions.create(self.session, ANYBODY, epoch="another", fields={})
            )
            assert word == "Conflict"
        self.bring_back()

    @precondition(lambda self: self.copies)
    @rule(pick=picks)
    def mark_a_copy(self, pick: int) -> None:
        self.make_mark(pick)

    @rule(seconds=st.sampled_from([2, 6, OLD_S]))
    def time_passes(self, seconds: float) -> None:
        self.make_older(seconds)

    # What holds after every step.

    @invariant()
    def the_store_holds_what_the_model_says(self) -> None:
        try:
            self.check(self.dump())
        except BaseException:
            self.failed = True
            raise

    def end_all(self) -> None:
        """Let all pods die, and a new one end every accepted turn."""
        for pod in list(self.pods):
            self.bury(pod)
        heir = self.pods[0]
        for _ in range(2 * len(self.model.turns) + 3):
            self.make_older(OLD_S)
            for orphan in self.orphans():
                self.treat(orphan, heir)
            while self.executing[heir]:
                self.make_end(heir, next(iter(self.executing[heir].values())), take_next=True)
            if not self.model.open() and not self.orphans():
                return

    def teardown(self) -> None:
        """Left alone by everybody else, one pod ends every accepted turn, exactly once."""
        if self.failed:
            return
        accepted = {turn.turn_id for turn in self.model.turns.values()}
        self.end_all()
        assert self.orphans() == []
        assert not self.model.open()
        rows = self.store.client.lrange(self.names.turns, 0, -1)
        ended = [turn_of(row, PLAIN, version=1)[0] for row in rows]
        assert sorted(turn.turn_id for turn in ended) == sorted(accepted)
        self.check(self.dump())
        self.store.client.delete(*self.keys_of_session())
