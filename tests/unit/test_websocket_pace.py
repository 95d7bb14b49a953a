"""How much a connection is sent: the rate, the window, and what is let go meanwhile."""

import threading
from collections.abc import Iterator

import pytest

from kotaemon_node.api.websocket.following import FollowedTurn
from kotaemon_node.api.websocket.pace import Pace
from kotaemon_node.domain import door_limits
from kotaemon_node.domain.errors import Invalid
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.session import SessionKey, TurnKey

KEY = TurnKey(SessionKey(DEFAULT_TENANT, "s"), "t")
FRAMES = 200


class Clock:
    """Moves only when told to."""

    at_s = 1_000.0

    def __call__(self) -> float:
        return self.at_s


def texts() -> list[Frame]:
    body = [
        Frame("text", {"content": "x", "offset": n}, "t", "0" * 32, n + 1) for n in range(FRAMES)
    ]
    return [*body, Frame("done", {"state": "done"}, "t", "0" * 32, FRAMES + 1)]


def test_a_seconds_worth_goes_out_at_once_and_then_so_much_a_second() -> None:
    clock = Clock()
    pace = Pace(chars_per_s=1_000, monotonic_s=clock)

    pace.sent(600)
    assert pace.wait(0)
    pace.sent(3_400)  # a long frame goes out whole
    assert not pace.wait(0)
    clock.at_s += 2.9
    assert not pace.wait(0)
    clock.at_s += 0.2
    assert pace.wait(0)


def test_who_never_acknowledges_has_no_window() -> None:
    pace = Pace(chars_per_s=10**9)
    for seq in range(1, 10 * door_limits.SOCKET_WINDOW_FRAMES):
        pace.sent(100, turn_id="t", seq=seq)

    assert pace.wait(0)


@pytest.mark.parametrize(
    ("frames", "chars"),
    [(door_limits.SOCKET_WINDOW_FRAMES, 1), (2, door_limits.SOCKET_WINDOW_CHARS // 2)],
)
def test_who_does_has_room_for_so_many_frames_or_characters(frames: int, chars: int) -> None:
    pace = Pace(chars_per_s=10**9, acknowledging=True)
    for seq in range(1, frames + 1):
        assert pace.wait(0)
        pace.sent(chars, turn_id="t", seq=seq)

    assert not pace.wait(0)
    assert pace.wait(0, window=False)
    pace.acknowledge(1, None)
    assert pace.wait(0)


def test_the_first_ack_turns_the_window_on_for_what_was_sent_before() -> None:
    pace = Pace(chars_per_s=10**9)
    for seq in range(1, 101):
        pace.sent(1, turn_id="t", seq=seq)

    pace.acknowledge(2, "t")
    assert not pace.wait(0)
    pace.acknowledge(99, "t")
    assert pace.wait(0)


def test_an_ack_counts_for_all_that_was_sent_before_whatever_turn() -> None:
    pace = Pace(chars_per_s=10**9, acknowledging=True)
    for seq in range(1, door_limits.SOCKET_WINDOW_FRAMES):
        pace.sent(1, turn_id="a", seq=seq)
    pace.sent(1, turn_id="b", seq=1)
    assert not pace.wait(0)

    pace.acknowledge(1, "b")

    assert pace._sent_chars == 0
    pace.acknowledge(1, "b")  # again: no matter
    pace.acknowledge(5, "a")


def test_an_ack_of_what_was_not_sent_is_refused() -> None:
    pace = Pace(chars_per_s=10**9)
    pace.sent(1, turn_id="t", seq=1)

    with pytest.raises(Invalid):
        pace.acknowledge(2, "t")


def test_who_waits_hears_of_an_ack_and_of_the_end() -> None:
    pace = Pace(chars_per_s=10**9, acknowledging=True)
    pace.sent(door_limits.SOCKET_WINDOW_CHARS, turn_id="t", seq=1)

    threading.Timer(0.05, lambda: pace.acknowledge(1, "t")).start()
    assert pace.wait(60)
    pace.sent(door_limits.SOCKET_WINDOW_CHARS, turn_id="t", seq=2)
    threading.Timer(0.05, pace.end).start()
    assert not pace.wait(60)


def test_what_has_no_room_is_let_go_and_read_again_behind_what_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door_limits, "SOCKET_HOLDS_S", 0.02)
    pace = Pace(chars_per_s=10**9, acknowledging=True)
    begun: list[int] = []
    open_now: list[int] = []
    told: list[int] = []

    def follow(after: int) -> Iterator[Frame | None]:
        begun.append(after)
        open_now.append(after)
        try:
            yield from texts()[after:]
        finally:
            open_now.remove(after)

    def tell(frame: Frame) -> None:
        told.append(frame.seq or 0)
        pace.sent(1, turn_id=frame.turn_id, seq=frame.seq)

    turn = FollowedTurn(
        KEY, follow=follow, after=0, trace_id="", pace=pace, tell=tell, admitted=lambda: None
    )
    running = threading.Thread(target=turn.run)
    running.start()
    window = door_limits.SOCKET_WINDOW_FRAMES
    for full in (window, 2 * window, 3 * window):
        for _ in range(6_000):
            if len(told) == full and not open_now:
                break
            running.join(0.01)
        assert (len(told), open_now) == (full, [])  # nothing of the turn is held for the client
        pace.acknowledge(full, "t")
    running.join(60)

    assert begun == [0, window, 2 * window, 3 * window]
    assert told == list(range(1, FRAMES + 2))
