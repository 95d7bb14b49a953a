"""A small tool server over real HTTP, which counts what it is asked and what it really does.

``with ToolServer() as tools:`` serves every path: ``POST /order_status`` with a JSON object. It
keeps ``Idempotency-Key``s: under a key that it has seen it acts no second time, and gives the same
answer, except on paths that begin with ``/once``, which act each time they are asked.
"""

import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

CODE = "PX-{:04d}"
"""What an answer holds; the number is that of the effect."""


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    path: str
    key: str
    arguments: Any
    headers: dict[str, str]


@dataclass
class Doings:
    """How the server behaves, and what it noted. Guarded by ``lock``."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    asked: list[Asked] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)
    """Key to how often the world was changed under it."""
    answers: dict[str, Any] = field(default_factory=dict)
    delay_s: float = 0.0
    """Between the effect and the answer."""
    hold: threading.Event | None = None
    """The answer waits for it too, behind the effect."""
    status: int = 200
    hang_up: bool = False
    """Act, and end the connection without an answer."""
    raw: tuple[str, bytes] | None = None
    """Content type and body of every answer, in place of our own."""
    times: int = 1_000_000
    """How many requests ``hold``, ``status``, ``hang_up`` and ``delay_s`` still hit."""
    leaving: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    doings: Doings

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: a test's output is its own."""

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        read = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(json.loads(read))

    def _answer(self, arguments: Any) -> None:
        doings = self.doings
        key = self.headers.get("Idempotency-Key", "")
        with doings.lock:
            doings.asked.append(Asked(self.path, key, arguments, dict(self.headers)))
            disturbed = doings.times > 0
            doings.times -= 1
            status = doings.status if disturbed else 200
            answer = {"error": f"fault {status}"} if status >= 300 else self._act(key, arguments)
        if disturbed:
            if doings.hold is not None:
                doings.hold.wait(60)
            doings.leaving.wait(doings.delay_s)
            if doings.hang_up:
                self.close_connection = True
                return
        kind, body = doings.raw or ("application/json", json.dumps(answer).encode())
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _act(self, key: str, arguments: Any) -> Any:
        doings = self.doings
        if key not in doings.answers or self.path.startswith("/once"):
            doings.effects[key] += 1
            code = CODE.format(sum(doings.effects.values()))
            doings.answers[key] = {"code": code, "asked": arguments}
        return doings.answers[key]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients of these tests hang up; that is no news."""


class ToolServer:
    """The server in a thread of the test."""

    def __init__(self) -> None:
        self.doings = Doings()
        handler = type("BoundHandler", (Handler,), {"doings": self.doings})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """``http://127.0.0.1:<port>``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def asked(self, path: str = "") -> Sequence[Asked]:
        """Return the requests so far, of one path or all."""
        with self.doings.lock:
            return [one for one in self.doings.asked if path in {"", one.path}]

    def keys(self, path: str = "") -> list[str]:
        """Return the keys of the requests, in order."""
        return [one.key for one in self.asked(path)]

    def effects(self) -> dict[str, int]:
        """Return how often each key changed the world."""
        with self.doings.lock:
            return dict(self.doings.effects)

    def described(self, **effects: str) -> dict[str, Any]:
        """Return a tools file with these tools: name to effects; each has its name as path."""
        return {
            "tools": [
                {
                    "name": name,
                    "description": f"Does {name}.",
                    "parameters": {
                        "type": "object",
                        "properties": {"order": {"type": "string"}},
                        "required": ["order"],
                    },
                    "url": f"{self.url}/{name}",
                    "effects": does,
                    "confirm": False,
                }
                for name, does in effects.items()
            ]
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.doings.leaving.set()
        if self.doings.hold is not None:
            self.doings.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
