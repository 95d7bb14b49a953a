"""A small OpenAI-compatible server that streams deterministic tokens over real HTTP.

    python -m tests.fakes.llm_server --port 9000 --first-ms 200 --token-ms 20

Routes: ``POST …/chat/completions``, ``GET …/models``, ``GET /stats`` (what was called), ``GET
/requests`` (the last bodies), ``PUT /fault {"fault", "times", "after_tokens"}``. The faults:

- ``500``, ``429``: refuse with an error object; ``refuse_usage``: 400 to ``stream_options``
- ``stall``: fall silent after some tokens; ``stall_comments``: the same, but with comments
- ``garbage``: an event that is not JSON; ``error``: an error object in the stream
- ``mute``: not even begin to answer
- ``cut``: hang up after some tokens; ``html``: a page of a proxy; ``whole``: no stream but JSON
"""

import argparse
import json
import select
import socket
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.fakes.llm_answer import (
    answer_to,
    before_calls,
    calls_for,
    chunk,
    continued,
    in_pieces,
    split_prefix,
    tokens_of,
)

FAULTS = frozenset(
    {"500", "429", "refuse_usage", "stall", "stall_comments", "garbage", "error", "cut", "html",
     "whole", "mute"}
)  # fmt: skip


@dataclass
class Fault:
    """What goes wrong in the next ``times`` calls, behind ``after_tokens`` tokens."""

    kind: str = ""
    times: int = 0
    after_tokens: int = 0


@dataclass
class Behaviour:
    """How the server answers, and what it noted. Guarded by ``lock``."""

    first_ms: float = 0.0
    token_ms: float = 0.0
    end_ms: float = 0.0
    """Between the last token and the end of the stream."""
    tokens_min: int = 0
    fault: Fault = field(default_factory=Fault)
    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=200))
    authorizations: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    traceparents: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("calls", "completed", "aborted", "continued", "prefix_mismatches", "faults",
             "tokens", "running"),
            0,
        )
    )  # fmt: skip

    def count(self, what: str, by: int = 1) -> None:
        """Add to one of the counts that ``GET /stats`` shows."""
        with self.lock:
            self.counts[what] += by

    def next_fault(self) -> Fault:
        """Return the fault of this call and use one of its times up."""
        with self.lock:
            if self.fault.times <= 0:
                return Fault()
            self.fault.times -= 1
            self.counts["faults"] += 1
            return self.fault


class Gone(Exception):
    """The client hung up."""


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    behaviour: Behaviour

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: a test's output is its own."""

    def do_GET(self) -> None:
        if self.path == "/stats":
            with self.behaviour.lock:
                self._send_json(200, dict(self.behaviour.counts))
        elif self.path == "/requests":
            with self.behaviour.lock:
                self._send_json(200, list(self.behaviour.requests))
        elif self.path.endswith("/models"):
            model = {"id": "fake", "object": "model", "created": 0, "owned_by": "tests"}
            self._send_json(200, {"object": "list", "data": [model]})
        else:
            self._send_json(404, {"error": {"message": "no such route"}})

    def do_PUT(self) -> None:
        asked = self._body() or {}
        if self.path != "/fault" or asked.get("fault") not in FAULTS | {None, ""}:
            self._send_json(404, {"error": {"message": "no such fault"}})
            return
        with self.behaviour.lock:
            self.behaviour.fault = Fault(
                kind=asked.get("fault") or "",
                times=asked.get("times", 1_000_000) if asked.get("fault") else 0,
                after_tokens=asked.get("after_tokens", 0),
            )
        self._send_json(200, {})

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            return
        if not self.path.endswith("/chat/completions"):
            self._send_json(404, {"error": {"message": "no such route"}})
            return
        behaviour = self.behaviour
        with behaviour.lock:
            behaviour.requests.append(body)
            behaviour.authorizations.append(self.headers.get("Authorization", ""))
            behaviour.traceparents.append(self.headers.get("traceparent", ""))
        behaviour.count("calls")
        behaviour.count("running")
        try:
            self._complete(body, behaviour.next_fault())
        except (Gone, OSError):
            behaviour.count("aborted")
            self.close_connection = True
        finally:
            behaviour.count("running", -1)

    def _complete(self, body: dict[str, Any], fault: Fault) -> None:
        if self._refused(body, fault):
            return
        messages, prefix = split_prefix(body)
        calls = calls_for({**body, "messages": messages})
        if calls:
            answer = before_calls(messages)
        else:
            answer = answer_to(messages, tokens_min=self.behaviour.tokens_min)
        if prefix:
            self.behaviour.count("continued")
            answer, fits = continued(answer, prefix)
            self.behaviour.count("prefix_mismatches", 0 if fits else 1)
        usage = {
            "prompt_tokens": sum(len(str(m["content"])) for m in body["messages"]) // 4,
            "completion_tokens": len(tokens_of(answer)),
        }
        if not body.get("stream") or fault.kind == "whole":
            message = {"role": "assistant", "content": answer, "tool_calls": calls or None}
            reason = "tool_calls" if calls else "stop"
            choice = {"index": 0, "message": message, "finish_reason": reason}
            self._send_json(200, {"choices": [choice], "usage": usage})
        else:
            counted = usage if _wants_usage(body) else None
            self._stream(answer, calls, fault=fault, usage=counted)
        self.behaviour.count("completed")

    def _refused(self, body: dict[str, Any], fault: Fault) -> bool:
        if fault.kind in {"500", "429"}:
            self._send_json(int(fault.kind), {"error": {"message": f"fault {fault.kind}"}})
        elif fault.kind == "refuse_usage" and "stream_options" in body:
            self._send_json(400, {"error": {"message": "Unknown field: stream_options"}})
        elif fault.kind == "mute":
            while True:
                self._pause(50)
        elif fault.kind == "html":
            self._send(200, b"<html>come back later</html>", kind="text/html")
        elif body.get("continue_final_message") and body.get("add_generation_prompt", True):
            # As vLLM answers; an adapter that forgets the second flag must not pass.
            self._send_json(400, {"error": {"message": "both flags cannot be true"}})
        else:
            return False
        return True

    def _stream(
        self,
        answer: str,
        calls: list[dict[str, Any]],
        *,
        fault: Fault,
        usage: dict[str, int] | None,
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._event(chunk({"role": "assistant", "content": ""}))
        self._pause(self.behaviour.first_ms)
        tokens = tokens_of(answer)
        for number, token in enumerate(tokens):
            if fault.kind and number == fault.after_tokens:
                self._misbehave(fault)
            if number:
                self._pause(self.behaviour.token_ms)
            self._event(chunk({"content": token}))
            self.behaviour.count("tokens")
        for delta in in_pieces(calls):
            self._event(chunk(delta))
        self._pause(self.behaviour.end_ms)
        self._event(chunk({}, finish_reason="tool_calls" if calls else "stop"))
        if usage is not None:
            self._event({"object": "chat.completion.chunk", "choices": [], "usage": usage})
        self._write(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _misbehave(self, fault: Fault) -> None:
        if fault.kind == "garbage":
            self._write(b"data: {this is not JSON}\n\n")
        elif fault.kind == "error":
            self._event({"error": {"message": "out of memory", "type": "server_error"}})
        elif fault.kind == "cut":
            self._write(b'data: {"choices": [{"index": 0, "delta": {"con')
            raise Gone
        while fault.kind in {"stall", "stall_comments"}:
            self._pause(50)
            if fault.kind == "stall_comments":
                self._write(b": still here\n\n")

    def _pause(self, duration_ms: float) -> None:
        """Wait, and notice at once when the client hangs up."""
        until_s = time.monotonic() + duration_ms / 1000
        while (left_s := until_s - time.monotonic()) > 0:
            readable, _, _ = select.select([self.connection], [], [], left_s)
            if readable:
                if not self.connection.recv(1, socket.MSG_PEEK):
                    raise Gone
                time.sleep(left_s)

    def _event(self, fields: dict[str, Any]) -> None:
        self._write(f"data: {json.dumps(fields, ensure_ascii=False)}\n\n".encode())

    def _write(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def _body(self) -> dict[str, Any] | None:
        """Return the request's JSON; None where the caller was killed while it asked."""
        length = int(self.headers.get("Content-Length", 0))
        content = self.rfile.read(length)
        if len(content) < length:
            return None
        read: dict[str, Any] = json.loads(content)
        return read

    def _send_json(self, status: int, fields: Any) -> None:
        self._send(status, json.dumps(fields).encode(), kind="application/json")

    def _send(self, status: int, content: bytes, *, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _wants_usage(body: dict[str, Any]) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Hundreds of turns may ask at once; the default backlog of 5 would refuse some.
    request_queue_size = 1024

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, unless a pod was killed: that resets its connections."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class FakeLlmServer:
    """The server in a thread of the test: ``with FakeLlmServer() as llm: … llm.base_url``."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        first_ms: float = 0,
        token_ms: float = 0,
        tokens_min: int = 0,
    ) -> None:
        self.behaviour = Behaviour(first_ms=first_ms, token_ms=token_ms, tokens_min=tokens_min)
        handler = type("BoundHandler", (Handler,), {"behaviour": self.behaviour})
        self._server = _Server((host, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def address(self) -> str:
        """``http://127.0.0.1:<port>``, for /stats and /fault."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def base_url(self) -> str:
        """What ``LLM_BASE_URL`` is set to."""
        return f"{self.address}/v1"

    @property
    def stats(self) -> dict[str, int]:
        """The counts of ``GET /stats``."""
        with self.behaviour.lock:
            return dict(self.behaviour.counts)

    def break_with(self, fault: str, *, times: int = 1_000_000, after_tokens: int = 0) -> None:
        """Let the next ``times`` calls go wrong."""
        assert fault in FAULTS
        with self.behaviour.lock:
            self.behaviour.fault = Fault(fault, times, after_tokens)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--first-ms", type=float, default=0.0)
    parser.add_argument("--token-ms", type=float, default=0.0)
    parser.add_argument("--end-ms", type=float, default=0.0)
    parser.add_argument("--tokens-min", type=int, default=0, help="make answers at least so long")
    asked = parser.parse_args()
    with FakeLlmServer(
        host=asked.host,
        port=asked.port,
        first_ms=asked.first_ms,
        token_ms=asked.token_ms,
        tokens_min=asked.tokens_min,
    ) as server:
        server.behaviour.end_ms = asked.end_ms
        print(f"fake language model at {server.base_url}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
