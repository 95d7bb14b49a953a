"""Following a turn: a store that changes between two commands, and waiting for the end."""

import threading
from typing import Any

from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.following import Following
from kotaemon_node.engine.live import LiveTurns
from kotaemon_node.ports.frame_log import StoredFrames

KEY = TurnKey(SessionKey("default", "s1"), "t1")


def frame(seq: int, kind: Any = "text") -> Frame:
    return Frame(kind, {"content": "a", "offset": seq}, "t1", "trace", seq)


class ScriptedStore:
    """A turn that runs elsewhere; each read takes the next of ``looks``."""

    def __init__(self, *looks: StoredFrames) -> None:
        self.looks = list(looks)

    def turn_and_last_seq(self, *_: Any) -> tuple[Turn, int]:
        return Turn("t1", "when?", State.RUNNING, answer="", owner="other"), 0

    def watch(self, *_: Any) -> Any:
        return lambda: None

    def read(self, *_: Any, after: int, **__: Any) -> StoredFrames:
        look = self.looks.pop(0)
        frames = tuple(one for one in look.frames if (one.seq or 0) > after)
        return StoredFrames(frames=frames, last=look.last, kept=look.kept)


def test_frames_stored_again_between_the_commands_of_a_read_are_found_by_the_next() -> None:
    first, second, end = frame(1), frame(2), frame(3, "error")
    store: Any = ScriptedStore(
        StoredFrames(frames=(first, second), last=2, kept=True),
        # What it had lost was not there when frames were read, and was when the newest was
        StoredFrames(frames=(), last=2, kept=True),
        StoredFrames(frames=(first, second, end), last=3, kept=True),
    )
    following = Following(
        sessions=store,
        frames=store,
        live=LiveTurns(),
        rescue=lambda *_: None,
        leaving=lambda: False,
        clock=SystemClock(),
    )

    seen = following.follow(KEY, Principal("default", "anonymous", "open"), after=0)

    assert [one.seq for one in seen if one is not None] == [1, 2, 3]


def waiting_on(live: LiveTurns, store: Any) -> Following:
    return Following(
        sessions=store,
        frames=store,
        live=live,
        rescue=lambda *_: None,
        leaving=lambda: False,
        clock=SystemClock(),
    )


def test_who_waits_for_a_turn_that_ends_here_gets_it_without_a_read() -> None:
    class NoStore:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"the store was asked: {name}")

    turns = LiveTurns()
    live = turns.open(KEY, (), fence=1)
    ended = Turn(KEY.turn_id, "hello", State.DONE, answer="hi", version=1)
    told: list[Turn | None] = []
    following = waiting_on(turns, NoStore())
    caller = Principal("default", "anonymous", "open")
    task = threading.Thread(target=lambda: told.append(following.wait(KEY, caller, timeout_s=60.0)))
    task.start()
    live.end(ended, [frame(1, "done")])
    task.join(60)
    turns.close(KEY, live)

    assert told == [ended]


def test_who_waits_for_a_turn_that_left_this_pod_reads_on() -> None:
    ended = Turn(KEY.turn_id, "hello", State.DONE, answer="hi", version=1)

    class Store(ScriptedStore):
        def turn(self, key: TurnKey, principal: Principal) -> Turn:
            return ended

        def turn_and_last_seq(self, key: TurnKey, principal: Principal) -> tuple[Turn, int]:
            return Turn(KEY.turn_id, "hello", State.RUNNING), 0

    turns = LiveTurns()
    live = turns.open(KEY, (), fence=1)
    store: Any = Store(StoredFrames(frames=(frame(1), frame(2, "error")), last=2, kept=True))
    following = waiting_on(turns, store)
    live.close()  # another pod has it

    assert following.wait(KEY, Principal("default", "a", "open"), timeout_s=60.0) == ended
