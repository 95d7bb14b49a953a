"""The readers of ``make bench``: what of a stream is a word, a heartbeat, an end."""

import select
import socket
import time
from collections.abc import Iterable

import pytest

from load.bench.speed.reading import Plan, Readers, Stream

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAN = Plan(port=0, pids=[], question="q", prefix="p", seconds=1.0, speaking=1, again=True)


def text(*words: str) -> bytes:
    said = "".join(words)
    return f'event: text\ndata: {{"type":"text","content":"{said}"}}\n\n'.encode()


def word() -> str:
    return f"t{time.monotonic_ns() // 1000}"


def read(chunks: Iterable[bytes]) -> Readers:
    """Have one stream receive these, one by one, while the window is open."""
    readers = Readers(PLAN)
    readers._counts = True
    ours, theirs = socket.socketpair()
    one = Stream(lambda turn: b"next\n")
    one.socket = ours
    readers._open[ours.fileno()] = one
    readers._epoll.register(ours, select.EPOLLIN)
    with ours, theirs:
        for chunk in chunks:
            theirs.sendall(chunk)
            readers._receive(ours.fileno(), one)
    return readers


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_each_word_of_text_counts_once_wherever_the_stream_is_cut(size: int) -> None:
    events = text(word()) + text(" ", word(), " ", word()) + b": heartbeat\n\n"
    cut = [events[at : at + size] for at in range(0, len(events), size)]
    readers = read([HEAD, *cut])
    assert (readers.seen.words, readers.seen.frames, readers.seen.heartbeats) == (3, 2, 1)
    assert sum(readers._delays.values()) == 3
    assert sum(readers._lates.values()) == 1
    assert sum(readers._firsts.values()) == 1
    assert not readers._errors


def test_the_last_frame_repeats_the_answer_and_is_no_news() -> None:
    said = word()
    rest = f'data: {{"answer":"{said} {said}"}}\n\n0\r\n\r\n'.encode()
    readers = read([HEAD + text(said) + b"event: done\n", rest, HEAD + text(said)])
    assert (readers.seen.words, readers.seen.turns) == (2, 1)
    assert sum(readers._firsts.values()) == 2


def test_what_is_refused_is_lost() -> None:
    readers = read([b"HTTP/1.1 503 Busy\r\n\r\n"])
    assert readers.seen.lost == 1
    assert "503 Busy" in next(iter(readers._errors))


def test_a_turn_that_fails_is_told_and_waited_for_no_longer() -> None:
    readers = read([HEAD + b'event: error\ndata: {"code":"x"}\n\n'])
    assert '"code":"x"' in next(iter(readers._errors))
    assert readers._waiting == -1  # it was never among those that are opened here
