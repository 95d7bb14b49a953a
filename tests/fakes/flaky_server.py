"""A server that answers each request as the test says, and breaks off where it says so."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Frame = dict[str, Any]
TRACE = "0123456789abcdef0123456789abcdef"


def text(seq: int, content: str, offset: int) -> Frame:
    return {"type": "text", "seq": seq, "content": content, "offset": offset}


def done(seq: int, answer: str, **fields: Any) -> Frame:
    return {
        "type": "done", "seq": seq, "state": "done", "answer": answer, "version": 1,
        "generation": {}, "usage": {"prompt_tokens": 1}, "timings": {}, "degraded": None, **fields,
    }  # fmt: skip


class Asked:
    """A request as it came."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.method, self.path = handler.command, handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        length = int(self.headers.get("content-length", 0))
        self.raw = handler.rfile.read(length)
        is_json = "json" in self.headers.get("content-type", "")
        self.body = json.loads(self.raw) if is_json else None


class Reaction:
    """How one request is answered."""

    def __init__(self, act: Callable[["_Handler"], None]) -> None:
        self.act = act


def drops() -> Reaction:
    """Close the connection without a word, as a pod that dies."""
    return Reaction(lambda handler: handler.connection.close())


def answers(status: int, value: Any, **headers: str) -> Reaction:
    def act(handler: "_Handler") -> None:
        body = json.dumps(value).encode() if value is not None else b""
        handler.send_response(status)
        for name, told in {
            "Content-Length": str(len(body)),
            "X-Trace-ID": TRACE,
            **headers,
        }.items():
            handler.send_header(name.replace("_", "-"), told)
        handler.end_headers()
        handler.wfile.write(body)

    return Reaction(act)


def refuses(status: int, code: str, *, retryable: bool = False, **headers: str) -> Reaction:
    error = {"code": code, "message": f"{code}!", "retryable": retryable, "trace_id": TRACE}
    return answers(status, {"error": error}, **headers)


def streams(*frames: Frame, silent: threading.Event | None = None, cut: int = 0) -> Reaction:
    """Send frames, then end; ``silent``: say nothing until it is set. ``cut``: bytes a write."""

    def act(handler: "_Handler") -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        turn_id = handler.asked.path.split("/turns/")[-1].split("/")[0]
        if handler.asked.body:
            turn_id = handler.asked.body["turn_id"]
        handler.wfile.write(b": heartbeat\n\n")
        for frame in frames:
            whole = {"turn_id": turn_id, "trace_id": TRACE, **frame}
            event = f"event: {frame['type']}\ndata: {json.dumps(whole, ensure_ascii=False)}\n\n"
            raw = event.encode()
            for at in range(0, len(raw), cut or len(raw)):
                handler.wfile.write(raw[at : at + (cut or len(raw))])
                handler.wfile.flush()
        if silent is not None:
            silent.wait(60)

    return Reaction(act)


class _Handler(BaseHTTPRequestHandler):
    asked: Asked
    server: "_Server"

    def _serve(self) -> None:
        self.asked = Asked(self)
        with self.server.lock:
            self.server.seen.append(self.asked)
            left = self.server.script
            reaction = left.pop(0) if len(left) > 1 else left[0]
        self.close_connection = True
        reaction.act(self)

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, script: Sequence[Reaction]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.script = list(script)
        self.seen: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that leaves is no news."""


@contextmanager
def flaky(*script: Reaction) -> Iterator[_Server]:
    """Run a server that reacts to each request as ``script`` says; the last one stays."""
    server = _Server(script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
