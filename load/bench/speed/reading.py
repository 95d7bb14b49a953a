"""Readers of streams: one process, one epoll, any number of connections.

    python -m load.bench.speed.reading < plan.json

``speaking`` turns are asked and read; where ``again``, each is followed by the next one of its
client. ``quiet`` turns are asked before and fall silent behind a first word; ``followers`` more
readers follow each of them by the public route. The plan is a JSON object of the fields of
``Plan``, the answer one of those of ``Seen``.
"""

import json
import re
import resource
import select
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import psutil

from load.bench.speed.model import QUIETLY
from load.bench.speed.processes import waited_s

_WORD = re.compile(rb"t(\d{9,})(?=\D)")
_HEAD = b"HTTP/1.1 "
_HEARTBEAT = b": heartbeat\n"
_TEXT, _DONE, _ERROR = b"event: text\n", b"event: done\n", b"event: error\n"
_OPENING_AT_ONCE = 128
_OPEN_WITHIN_S = 180.0
_HEARTBEAT_S = 2.0
_HANG_UP = struct.pack("ii", 1, 0)
"""Close by reset: ten thousand ports in TIME_WAIT would be missing in the next round."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is opened and for how long it is read."""

    port: int
    pids: list[int]
    """The processes that serve: their computing and memory are told."""
    question: str
    prefix: str
    seconds: float
    speaking: int = 0
    again: bool = False
    quiet: int = 0
    followers: int = 0
    """Of each quiet turn."""
    settle_s: float = 2.0
    """Between the last one that opened and the window."""


@dataclass(slots=True)
class Seen:
    """What the window saw. Histograms: milliseconds, rounded up, to how often."""

    opened: int = 0
    open_took_s: float = 0.0
    lost: int = 0
    words: int = 0
    frames: int = 0
    turns: int = 0
    delay_ms: dict[int, int] = field(default_factory=dict)
    first_text_ms: dict[int, int] = field(default_factory=dict)
    late_ms: dict[int, int] = field(default_factory=dict)
    heartbeats: int = 0
    seconds: float = 0.0
    server_cpu_s: float = 0.0
    server_waited_s: float = 0.0
    """How long the serving threads could have run and got no core."""
    client_cpu_s: float = 0.0
    memory_before: int = 0
    memory_open: int = 0
    errors: dict[str, int] = field(default_factory=dict)


class Stream:
    """One connection and what it waits for."""

    __slots__ = ("asked_s", "beat_s", "left", "opens", "over", "request", "socket", "spoke", "turn")

    def __init__(self, request: Callable[[int], bytes]) -> None:
        self.request = request
        """Returns what is sent for the turn of a number."""
        self.turn = 0
        self.opens = True
        """Nothing came of it yet."""
        self.over = True
        """What comes before the next head is the rest of an answer that was whole before."""
        self.left = b""
        self.asked_s = self.beat_s = 0.0
        self.spoke = False
        self.socket = socket.socket()


class Readers:
    """All streams."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._epoll = select.epoll()
        self._open: dict[int, Stream] = {}
        self._waiting = 0
        self._counts = False
        self._errors: Counter[str] = Counter()
        self._delays: Counter[int] = Counter()
        self._firsts: Counter[int] = Counter()
        self._lates: Counter[int] = Counter()
        self.seen = Seen()

    def run(self) -> Seen:
        """Open, settle, read, report."""
        plan, seen = self._plan, self.seen
        began_s = time.monotonic()
        self._open_all([(number, self._quiet) for number in range(plan.quiet)])
        # What running turns take is no stream's memory.
        self._read(until_s=time.monotonic() + plan.settle_s if plan.quiet else 0.0)
        seen.memory_before = self._memory()
        followers = [
            (turn * plan.followers + place, self._follow)
            for turn in range(plan.quiet)
            for place in range(plan.followers)
        ]
        self._open_all(followers)
        if followers:
            self._read(until_s=time.monotonic() + plan.settle_s)
        seen.memory_open = self._memory()
        self._open_all([(number, self._speak) for number in range(plan.speaking)])
        seen.opened, seen.open_took_s = len(self._open), time.monotonic() - began_s
        self._read(until_s=time.monotonic() + plan.settle_s)
        self._window()
        for descriptor in list(self._open):
            self._close(descriptor)
        return seen

    def _window(self) -> None:
        plan, seen = self._plan, self.seen
        self._counts, server_s, own_s = True, self._cpu_s(), time.process_time()
        waiting_s = sum(map(waited_s, plan.pids))
        began_s = time.monotonic()
        self._read(until_s=began_s + plan.seconds)
        seen.seconds = time.monotonic() - began_s
        seen.server_cpu_s = self._cpu_s() - server_s
        seen.server_waited_s = sum(map(waited_s, plan.pids)) - waiting_s
        seen.client_cpu_s = time.process_time() - own_s
        self._counts = False
        seen.delay_ms, seen.first_text_ms = dict(self._delays), dict(self._firsts)
        seen.late_ms, seen.errors = dict(self._lates), dict(self._errors)

    def _open_all(self, wanted: list[tuple[int, Callable[[int, int], bytes]]]) -> None:
        """Open streams; each counts as open when its first event is there."""
        until_s = time.monotonic() + _OPEN_WITHIN_S
        coming = iter(wanted)
        left = len(wanted)
        while left or self._waiting:
            if time.monotonic() > until_s:
                raise TimeoutError(f"{left + self._waiting} streams did not open: {self._errors}")
            while left and self._waiting < _OPENING_AT_ONCE:
                number, request = next(coming)
                self._connect(number, request)
                left -= 1
            self._turn(0.05)

    def _connect(self, number: int, request: Callable[[int, int], bytes]) -> None:
        one = Stream(lambda turn: request(number, turn))
        one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HANG_UP)
        one.socket.connect(("127.0.0.1", self._plan.port))
        one.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.socket.setblocking(False)
        self._open[one.socket.fileno()] = one
        self._epoll.register(one.socket, select.EPOLLIN)
        self._waiting += 1
        self._ask(one)

    def _ask(self, one: Stream) -> None:
        one.asked_s, one.spoke = time.monotonic(), False
        one.beat_s = one.asked_s
        one.socket.sendall(one.request(one.turn))
        one.turn += 1

    def _read(self, *, until_s: float) -> None:
        while time.monotonic() < until_s:
            self._turn(0.05)

    def _turn(self, timeout_s: float) -> None:
        for descriptor, _ in self._epoll.poll(timeout_s):
            one = self._open.get(descriptor)
            if one is not None:
                self._receive(descriptor, one)

    def _receive(self, descriptor: int, one: Stream) -> None:
        try:
            received = one.socket.recv(65_536)
        except ConnectionError as error:
            self._lose(descriptor, one, repr(error))
            return
        if not received:
            self._lose(descriptor, one, "a stream was closed")
            return
        now_s = time.monotonic()
        if one.over:
            at = received.find(_HEAD)
            if at < 0:
                return
            received, one.over = received[at:], False
            if not received.startswith(_HEAD + b"200"):
                self._lose(descriptor, one, received[:300].decode(errors="replace"))
                return
        self._take(one, one.left + received, now_s)

    def _take(self, one: Stream, seen: bytes, now_s: float) -> None:
        if _ERROR in seen:
            self._errors[seen[-300:].decode(errors="replace")] += 1
        # The last frame says the whole answer once more.
        lively, ended, _ = seen.partition(_ERROR if _ERROR in seen else _DONE)
        self._note(one, lively, now_s)
        one.beat_s = now_s
        behind = max((at.end() for at in _WORD.finditer(lively)), default=0)
        # A line that has not ended may be the beginning of what is looked for.
        one.left = b"" if ended else lively[behind:].rpartition(b"\n")[2]
        if ended:
            self._opened(one)
            one.over = True
            self.seen.turns += self._counts
            if self._plan.again:
                self._ask(one)

    def _note(self, one: Stream, seen: bytes, now_s: float) -> None:
        beats, texts = seen.count(_HEARTBEAT), seen.count(_TEXT)
        if beats or texts:
            self._opened(one)
        first = bool(texts) and not one.spoke
        one.spoke = one.spoke or first
        if not self._counts:
            return
        if first:
            self._firsts[_up((now_s - one.asked_s) * 1e3)] += 1
        if beats:
            self._lates[_up((now_s - one.beat_s - _HEARTBEAT_S) * 1e3)] += 1
        self.seen.frames += texts
        self.seen.heartbeats += beats
        for word in _WORD.findall(seen):
            self.seen.words += 1
            self._delays[_up(now_s * 1e3 - int(word) / 1e3)] += 1

    def _opened(self, one: Stream) -> None:
        self._waiting -= one.opens
        one.opens = False

    def _lose(self, descriptor: int, one: Stream, why: str) -> None:
        self.seen.lost += 1
        self._errors[why] += 1
        self._opened(one)
        self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        one = self._open.pop(descriptor)
        self._epoll.unregister(descriptor)
        one.socket.close()

    def _quiet(self, number: int, turn: int) -> bytes:
        session = f"{self._plan.prefix}-quiet-{number}"
        return _post(session, "quiet", f"{self._plan.question} Answer {QUIETLY}, case {number}.")

    def _follow(self, number: int, turn: int) -> bytes:
        session = f"{self._plan.prefix}-quiet-{number // self._plan.followers}"
        path = f"/v1/sessions/{session}/turns/quiet/stream"
        return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n".encode()

    def _speak(self, number: int, turn: int) -> bytes:
        session = f"{self._plan.prefix}-speaking-{number}"
        return _post(session, f"turn-{turn}", f"{self._plan.question} (case {number} {turn})")

    def _cpu_s(self) -> float:
        times = [psutil.Process(pid).cpu_times() for pid in self._plan.pids]
        return sum(one.user + one.system for one in times)

    def _memory(self) -> int:
        return sum(int(psutil.Process(pid).memory_full_info().pss) for pid in self._plan.pids)


def _post(session: str, turn: str, message: str) -> bytes:
    body = json.dumps({"message": message, "turn_id": turn}).encode()
    head = (
        f"POST /v1/sessions/{session}/turns HTTP/1.1\r\nHost: bench\r\n"
        "Content-Type: application/json\r\nAccept: text/event-stream\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _up(milliseconds: float) -> int:
    return max(0, int(milliseconds) + 1)


def main() -> None:
    """Read as planned."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    json.dump(asdict(Readers(Plan(**json.load(sys.stdin))).run()), sys.stdout)


if __name__ == "__main__":
    main()
