"""Three small shops over real HTTP, in which orders are cancelled; each counts what it really does.

``keys`` knows the keys of requests: under one that it has seen it acts no second time. ``lookup``
ignores keys, and tells whether an order is cancelled. ``neither`` ignores keys and tells nothing.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal, Self
from urllib.parse import parse_qs, urlsplit

from kotaemon_node.adapters.tools.described import HttpTool
from kotaemon_node.ports.tools import Effects, ToolSpec

Kind = Literal["keys", "lookup", "neither"]
KINDS: Final[tuple[Kind, ...]] = ("keys", "lookup", "neither")
TOOL: Final = "cancel_order"
_EFFECTS: Final[dict[Kind, Effects]] = {"keys": "idempotent", "lookup": "once", "neither": "once"}


class Shop:
    """One shop in a thread; ``at`` is called with the order before and after each effect."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.at: Callable[[str, str], None] = lambda place, order: None
        self.cancelled: Counter[str] = Counter()
        """Order to how often it was cancelled: more than once is what must not be."""
        self.requests = 0
        self._answers: dict[str, Any] = {}
        self._busy = 0
        self._lock = threading.Lock()
        handler = type("BoundHandler", (_Handler,), {"shop": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def tool(self) -> HttpTool:
        """The shop as an operator describes it."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        looks_up = self.kind == "lookup"
        parameters = {
            "type": "object",
            "properties": {"order": {"type": "string"}},
            "required": ["order"],
        }
        spec = ToolSpec(
            TOOL,
            "Cancels an order.",
            parameters,
            _EFFECTS[self.kind],
            looks_up=looks_up,
            timeout_s=60.0,
            horizon_s=60.0,
        )
        lookup_url = f"{url}/lookup" if looks_up else ""
        return HttpTool(spec, f"{url}/cancel", "POST", spec.timeout_s, {}, lookup_url)

    @property
    def quiet(self) -> bool:
        """Whether no request is under way."""
        return self._busy == 0

    def asked_to_cancel(self, order: str, key: str) -> Any:
        """Cancel an order as this shop does, and return its answer."""
        with self._lock:
            self._busy += 1
            self.requests += 1
        try:
            self.at("before", order)
            with self._lock:
                if self.kind == "keys" and key in self._answers:
                    answer = self._answers[key]
                else:
                    self.cancelled[order] += 1
                    answer = self._answers[key] = {"result": f"Order {order} is cancelled."}
            self.at("after", order)
        finally:
            with self._lock:
                self._busy -= 1
        return answer

    def asked_about(self, order: str) -> Any:
        """Tell whether an order is cancelled."""
        with self._lock:
            done = bool(self.cancelled[order])
        return {"took_effect": done, "result": f"Order {order} is cancelled." if done else None}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One connection of a pod."""

    shop: Shop

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        """Answer a cancellation."""
        said = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self._answer(self.shop.asked_to_cancel(said["order"], self.headers["Idempotency-Key"]))

    def do_GET(self) -> None:
        """Answer a lookup."""
        (order,) = parse_qs(urlsplit(self.path).query)["order"]
        self._answer(self.shop.asked_about(order))

    def _answer(self, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up; that is no news."""
