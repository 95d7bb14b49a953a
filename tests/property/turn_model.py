"""What the turn protocol promises of one session, in plain Python: the scripts are held to it.

Every step returns the word for what the store must answer: an outcome, or the name of an error.
A step that is refused changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kotaemon_node.domain import limits
from kotaemon_node.ports.sessions import Lease

Content = str
"""Of a frame: text that no other frame has, "queued", or "the end"."""
QUEUED, THE_END = "queued", "the end"


@dataclass
class ModelTurn:
    """An accepted turn of the session that stands now."""

    turn_id: str
    digest: str
    place: int
    """Turns are accepted in this order."""
    state: str = "queued"
    """``queued``, ``running`` or, once it is in the history, ``committed``."""
    owner: str = ""
    fence: int = 0
    attempts: int = 0
    losses: int = 0
    ending: str = ""
    out_of_turn: bool = False
    """It was ended while it waited, so that its place in the history says nothing."""
    frames: list[Content] = field(default_factory=list)
    journal: dict[str, str] = field(default_factory=dict)
    next_started: tuple[str, int] | None = None
    """The turn that its commit started, and that one's fence."""
    version: int = 0


@dataclass
class TurnModel:
    """One session id over its lives."""

    queue_max: int = limits.QUEUED_TURNS_MAX
    epoch: str = ""
    """"" while there is no session."""
    fence: int = 0
    running: str = ""
    queue: list[str] = field(default_factory=list)
    turns: dict[str, ModelTurn] = field(default_factory=dict)
    history: list[tuple[str, str]] = field(default_factory=list)
    """(turn id, answer) as committed."""
    gone: set[str] = field(default_factory=set)
    """Ids of turns of deleted sessions."""

    def holds(self, lease: Lease) -> bool:
        """Tell whether the lease stands."""
        turn = self.turns.get(lease.key.turn_id)
        return (
            self.epoch == lease.epoch != ""
            and turn is not None
            and (turn.state, turn.owner, turn.fence) == ("running", lease.owner, lease.fence)
        )

    def open(self) -> list[ModelTurn]:
        """Return the turns that are accepted and not finished."""
        return [turn for turn in self.turns.values() if turn.state != "committed"]

    def claim(  # noqa: PLR0911 - one line for each thing a claim can find
        self, turn_id: str, digest: str, *, owner: str, on_busy: str, new_epoch: str
    ) -> str:
        """A request to run a turn."""
        if turn_id in self.gone:
            return "Gone"
        if not self.epoch:
            # A session is made even where its first turn is refused; none is, here.
            self.epoch, self.fence, self.running = new_epoch, 0, ""
        if turn_id in self.turns:
            turn = self.turns[turn_id]
            if turn.digest != digest:
                return "TurnConflict"
            return "finished" if turn.state == "committed" else "attached"
        busy = bool(self.running or self.queue)
        if busy and on_busy == "reject":
            return "SessionBusy"
        if busy and len(self.queue) >= self.queue_max:
            return "Overloaded"
        turn = self.turns[turn_id] = ModelTurn(turn_id, digest, place=len(self.turns))
        if busy:
            self.queue.append(turn_id)
            turn.frames.append(QUEUED)
            return "queued"
        self._start(turn, owner)
        return "owned"

    def append(
        self, lease: Lease, first: int, contents: Sequence[Content], journal: Sequence[str]
    ) -> str:
        """Frames ``first``, ``first`` + 1, … and decisions as "step=value"."""
        if self.epoch != lease.epoch:
            return "Gone"
        if not self.holds(lease):
            return "Fenced"
        turn = self.turns[lease.key.turn_id]
        if first > len(turn.frames) + 1:
            return "SequenceGap"
        for decision in journal:
            step, _, value = decision.partition("=")
            turn.journal.setdefault(step, value)
        turn.frames.extend(contents[len(turn.frames) + 1 - first :])
        return "stored"

    def commit(self, lease: Lease, *, seq: int, answer: str, take_next: bool) -> str:
        """The end of a turn, or the same call again when its reply was lost."""
        if self.epoch != lease.epoch:
            return "Gone"
        turn = self.turns[lease.key.turn_id]
        if turn.state == "committed":
            return "committed" if turn.fence == lease.fence else "Fenced"
        if not self.holds(lease):
            return "Fenced"
        if seq != len(turn.frames) + 1:
            return "SequenceGap"
        turn.frames.append(THE_END)
        turn.state = "committed"
        self.history.append((turn.turn_id, answer))
        turn.version = len(self.history)
        if self.running == turn.turn_id:
            self.running = ""
            if take_next and self.queue:
                following = self.turns[self.queue.pop(0)]
                self._start(following, lease.owner)
                turn.next_started = (following.turn_id, following.fence)
        return "committed"

    def given_by(self, turn_id: str, owner: str) -> str:
        """Return the turn that the committer of ``turn_id`` is to execute now, "" for none.

        A repeated call must name the turn that the first one started, while it is still as it was
        started; never one that the pod got in another way, for that is being executed.
        """
        started = self.turns[turn_id].next_started
        if started is None:
            return ""
        following = self.turns[started[0]]
        same = (following.state, following.owner, following.fence) == ("running", owner, started[1])
        return following.turn_id if same else ""

    def seize(self, turn_id: str, owner: str, *, from_owner: str | None, ending: str) -> str:
        """A turn changes hands."""
        turn = self.turns.get(turn_id)
        if turn is None or turn.state == "committed":
            return "none"
        if turn.state == "queued":
            if from_owner is None:
                self.queue.remove(turn_id)
                turn.state, turn.out_of_turn = "running", True
                self._give(turn, owner)
            elif not self.running and self.queue[0] == turn_id:
                self.queue.pop(0)
                self._start(turn, owner)
            else:
                return "none"
        else:
            before = turn.owner
            if from_owner is not None and before not in {from_owner, owner}:
                return "none"
            self._give(turn, owner)
            if from_owner is not None:
                turn.attempts += before != owner
                # Its own pod takes it anew when the task that had it is gone: a loss as well.
                turn.losses += before != ""
        turn.ending = turn.ending or ending
        return "owned"

    def release(self, lease: Lease) -> str:
        """A running turn is left to whoever takes it."""
        if self.epoch != lease.epoch:
            return "Gone"
        if not self.holds(lease):
            return "Fenced"
        self._give(self.turns[lease.key.turn_id], "")
        return "released"

    def delete(self) -> str:
        """The session is removed; the ids of its turns are remembered."""
        if not self.epoch:
            return "SessionNotFound"
        self.gone |= self.turns.keys()
        self.epoch, self.running = "", ""
        self.queue, self.turns, self.history = [], {}, []
        return "deleted"

    def _start(self, turn: ModelTurn, owner: str) -> None:
        turn.state, self.running = "running", turn.turn_id
        turn.attempts += 1
        self._give(turn, owner)

    def _give(self, turn: ModelTurn, owner: str) -> None:
        self.fence += 1
        turn.owner, turn.fence = owner, self.fence
