"""One connection: messages in and out, closes with the right code, peers that are gone or stuck."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kotaemon_node.api.websocket.connection import Connection, ConnectionEnded
from kotaemon_node.domain import door_limits
from tests.raw_websocket import BINARY, CLOSE, PING, PONG, TEXT, Got, RawSocket, frame

BYTES_MAX = 1_000


class Peer(RawSocket):
    """The other end of a pair of sockets, after a handshake that there was none of."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._arrived = b""


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Peer]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours, message_bytes_max=BYTES_MAX, stall_s=0.3), Peer(theirs)


def ended(connection: Connection, timeout_s: float = 60.0) -> int:
    with pytest.raises(ConnectionEnded) as caught:
        connection.receive(timeout_s)
    return caught.value.code


def closed_with(peer: Peer, connection: Connection) -> tuple[int, Got]:
    """Let the connection meet what was sent; return how it ended, and what it said."""
    codes: list[int] = []
    reader = threading.Thread(target=lambda: codes.append(ended(connection)))
    reader.start()
    got = peer.receive()
    peer.sock.shutdown(socket.SHUT_WR)
    reader.join(60)
    assert got is not None
    return codes[0], got


def test_messages_arrive_whole_and_leave_whole(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    peer.send(frame(TEXT, "你好".encode()) + frame(BINARY, b"\x00\xff"))

    assert connection.receive(60) == "你好"
    assert connection.receive(60) == b"\x00\xff"
    connection.send("谢谢")
    connection.send(b"\x01")
    assert peer.receive() == Got(TEXT, "谢谢".encode())
    assert peer.receive() == Got(BINARY, b"\x01")


def test_nothing_within_the_time_is_none(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    peer.send(frame(TEXT, b"half", fin=False))

    assert connection.receive(0.01) is None
    peer.send(frame(0, b" and half"))
    assert connection.receive(60) == "half and half"


@contextmanager
def flooded(peer: Peer, piece: bytes) -> Iterator[threading.Event]:
    """Send ``piece`` again and again meanwhile; the event is set where that was given up."""
    enough, given_up = threading.Event(), threading.Event()

    def flood() -> None:
        end_s = time.monotonic() + 15
        while not enough.is_set():
            if time.monotonic() > end_s:
                given_up.set()
                return
            peer.send(piece * 100)

    thread = threading.Thread(target=flood)
    thread.start()
    yield given_up
    enough.set()
    thread.join(60)


@pytest.mark.parametrize("piece", [frame(PONG), frame(0, fin=False)], ids=["pongs", "pieces"])
def test_the_time_holds_for_who_sends_without_end_what_is_no_message(
    ends: tuple[Connection, Peer], piece: bytes
) -> None:
    connection, peer = ends
    peer.send(frame(TEXT, fin=False))
    with flooded(peer, piece) as given_up:
        assert connection.receive(0.2) is None
        assert not given_up.is_set()
        connection.abort()


def test_who_sends_without_end_is_not_waited_for_long_to_close(
    ends: tuple[Connection, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_limits, "SOCKET_CLOSE_S", 0.1)
    connection, peer = ends
    connection.say_close(1012, "leaving")
    with flooded(peer, frame(PONG)) as given_up:
        assert ended(connection) == 1006
        assert not given_up.is_set()


def test_what_came_with_the_handshake_is_a_message() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        hasty = Connection(ours, message_bytes_max=BYTES_MAX, arrived=frame(TEXT, b"early"))
        assert hasty.receive(60) == "early"


def test_pings_are_answered_between_the_pieces_of_a_message(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    peer.send(frame(TEXT, b"a", fin=False) + frame(PING, b"alive?") + frame(0, b"b"))

    assert connection.receive(60) == "ab"
    assert peer.receive() == Got(PONG, b"alive?")


def test_pongs_say_that_the_peer_is_there(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    connection.ping()
    connection.ping()
    assert connection.pings_unanswered == 2
    assert peer.receive() == Got(PING, b"")

    peer.send(frame(PONG))
    assert connection.receive(0.5) is None
    assert connection.pings_unanswered == 0


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\xce\xba\xff"), 1007),
        (frame(TEXT, b"x" * (BYTES_MAX + 1)), 1009),
        (frame(TEXT, b"x" * BYTES_MAX, fin=False) + frame(0, b"y"), 1009),
        (frame(3), 1002),
        (frame(TEXT, b"x", rsv=1), 1002),
        (frame(0, b"nothing to continue"), 1002),
        (b"\x81\x01x", 1002),  # not masked
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, struct.pack("!H", 1005)), 1002),
        (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
    ],
    # Each frame has a mask of its own, by which no two processes would name the same tests.
    ids=[
        "text that is no UTF-8",
        "a message that is too long",
        "pieces that are too long",
        "a kind that nobody knows",
        "a reserved bit",
        "a piece of nothing",
        "no mask",
        "half a code",
        "a code that is not sent",
        "a reason that is no UTF-8",
    ],
)
def test_a_fault_closes_with_its_code(
    ends: tuple[Connection, Peer], sent: bytes, code: int
) -> None:
    connection, peer = ends
    peer.send(sent)

    ended_with, said = closed_with(peer, connection)

    assert (ended_with, said.opcode, said.code) == (code, CLOSE, code)


def test_a_long_character_counts_its_bytes(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    peer.send(frame(TEXT, "字".encode() * (BYTES_MAX // 3 + 1)))

    assert closed_with(peer, connection)[0] == 1009


def test_a_close_is_answered_with_its_own_code(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    peer.send(frame(CLOSE, struct.pack("!H", 1001)) + frame(PING, b"too late"))

    ended_with, said = closed_with(peer, connection)

    assert (ended_with, said.code) == (1001, 1001)
    assert peer.receive() is None  # and no pong
    with pytest.raises(ConnectionEnded):
        connection.send("too late as well")


def test_who_vanishes_without_a_word_has_left(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    peer.close()

    assert ended(connection) == 1006


def test_a_peer_that_takes_nothing_is_cut_off(ends: tuple[Connection, Peer]) -> None:
    connection, _peer = ends

    with pytest.raises(ConnectionEnded) as caught:
        connection.send("x" * 100_000_000)

    assert caught.value.code == 1006
    assert ended(connection) == 1006  # whoever reads hears of it at once


def test_a_peer_that_does_not_close_is_not_waited_for_long(
    ends: tuple[Connection, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_limits, "SOCKET_CLOSE_S", 0.1)
    connection, peer = ends

    connection.say_close(1012, "leaving")

    got = peer.receive()
    assert got is not None
    assert got.code == 1012
    assert ended(connection) == 1006


def test_who_reads_hears_at_once_that_another_task_ended_it(
    ends: tuple[Connection, Peer],
) -> None:
    connection, _ = ends
    threading.Timer(0.05, connection.abort).start()

    assert ended(connection) == 1006


@pytest.mark.parametrize("piece", [frame(PONG), frame(0, fin=False)], ids=["pongs", "pieces"])
def test_small_frames_are_read_no_faster_than_their_rate(
    ends: tuple[Connection, Peer], monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    monkeypatch.setattr(door_limits, "SOCKET_FRAMES_PER_S", 0.01)
    monkeypatch.setattr(door_limits, "SOCKET_FRAMES_AT_ONCE", 10)
    connection, peer = ends
    flood = piece * (2 * door_limits.SOCKET_READ_BYTES // len(piece))
    peer.send(frame(TEXT, fin=False) + flood + frame(0, b"!"))

    assert connection.receive(0.2) is None
