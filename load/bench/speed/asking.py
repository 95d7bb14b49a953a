"""The clients: one process, one loop, any number of connections that ask one by one.

    python -m load.bench.speed.asking < plan.json

Each connection sends its next question when the last one is answered. The plan is a JSON object of
the fields of ``Plan``; the answer one of those of ``Asked``.
"""

import json
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

_END = b"\r\n\r\n"
_TIMEOUT_S = 30.0
WARM_S = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of whom."""

    ports: list[int]
    """Connections are spread over them evenly."""
    questions: list[str]
    connections: int
    seconds: float
    prefix: str
    """Sessions are named by it: ``prefix-3-7`` is the eighth of the fourth connection."""
    warm_s: float = WARM_S
    """What is answered in the first moments does not count."""
    turns_a_session: int = 10
    sessions: list[str] = field(default_factory=list)
    """These in turn in place of new ones; for one connection."""
    repeat: bool = False
    """Begin anew when all questions were asked; else running out of them is an error."""
    path: str = "/chat"
    asked_as: str = "message"
    """What the body calls the question."""


@dataclass(slots=True)
class Asked:
    """What was answered behind the warm-up."""

    answers: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    """What this process itself computed in that time."""
    latencies_ms: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)


class Connection:
    """One client: its socket, its session, and what it waits for."""

    __slots__ = ("_buffer", "_number", "_plan", "_port", "_turns", "closing", "sent_s", "socket")

    def __init__(self, number: int, plan: Plan) -> None:
        self._number, self._plan = number, plan
        self._port = plan.ports[number % len(plan.ports)]
        self._turns = 0
        self._buffer = b""
        self.closing = False
        self.sent_s = 0.0
        self.socket = self.connected()

    def connected(self) -> socket.socket:
        """Connect, perhaps again."""
        self.socket = socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer, self.closing = b"", False
        return self.socket

    def send(self, question: str) -> None:
        """Send a question."""
        body = json.dumps({"session_id": self._session(), self._plan.asked_as: question}).encode()
        self._turns += 1
        head = (
            f"POST {self._plan.path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.sent_s = time.perf_counter()
        self.socket.sendall(head.encode() + body)

    def _session(self) -> str:
        plan = self._plan
        if plan.sessions:
            return plan.sessions[self._turns % len(plan.sessions)]
        return f"{plan.prefix}-{self._number}-{self._turns // plan.turns_a_session}"

    def answered(self) -> tuple[int, bytes] | None:
        """Take what arrived; return status and body when the answer is whole."""
        received = self.socket.recv(65_536)
        if not received:
            raise ConnectionError("the server hung up within an answer")
        self._buffer += received
        head, found, body = self._buffer.partition(_END)
        if not found:
            return None
        fields = head.lower()
        at = fields.find(b"content-length:")
        if at < 0:
            raise ConnectionError("an answer has no length")
        if len(body) < int(fields[at + 15 :].split(b"\r\n", 1)[0]):
            return None
        self._buffer = b""
        self.closing = b"connection: close" in fields
        return int(head[9:12]), body


class Asking:
    """All connections in one loop, and what was counted."""

    def __init__(self, plan: Plan, selector: selectors.BaseSelector) -> None:
        self._plan, self._selector = plan, selector
        self._questions = _questions(plan)
        self._errors: Counter[str] = Counter()
        self._counts = False
        self.asked = Asked()

    def run(self) -> Asked:
        """Ask until the time is over."""
        connections = [Connection(number, self._plan) for number in range(self._plan.connections)]
        for one in connections:
            self._selector.register(one.socket, selectors.EVENT_READ, one)
            one.send(next(self._questions))
        self._loop(time.perf_counter() + self._plan.warm_s)
        self._counts, began_s, cpu_s = True, time.perf_counter(), time.process_time()
        self._loop(began_s + self._plan.seconds)
        self.asked.seconds = time.perf_counter() - began_s
        self.asked.cpu_s = time.process_time() - cpu_s
        self.asked.errors = dict(self._errors)
        for one in connections:
            one.socket.close()
        return self.asked

    def _loop(self, until_s: float) -> None:
        while time.perf_counter() < until_s:
            for key, _ in self._selector.select(0.05):
                one: Connection = key.data
                found = one.answered()
                if found is not None:
                    self._count(one, *found)
                    self._next(one)

    def _count(self, one: Connection, status: int, body: bytes) -> None:
        if self._counts:
            self.asked.answers += 1
            took_ms = (time.perf_counter() - one.sent_s) * 1e3
            self.asked.latencies_ms.append(round(took_ms, 3))
        if not 200 <= status < 300:
            self._errors[f"{status} {body[:200].decode(errors='replace')}"] += 1

    def _next(self, one: Connection) -> None:
        if one.closing:
            self._selector.unregister(one.socket)
            one.socket.close()
            self._selector.register(one.connected(), selectors.EVENT_READ, one)
        one.send(next(self._questions))


def ask(plan: Plan) -> Asked:
    """Ask as planned."""
    with selectors.DefaultSelector() as selector:
        return Asking(plan, selector).run()


def _questions(plan: Plan) -> Iterator[str]:
    while True:
        yield from plan.questions
        if not plan.repeat:
            raise RuntimeError(f"all {len(plan.questions)} questions were asked; plan more")


if __name__ == "__main__":
    json.dump(asdict(ask(Plan(**json.load(sys.stdin)))), sys.stdout)
