"""A pod that answers anything, run as a program: what HAProxy does with it is what is tested.

``pod_stub.py NAME PORT FOLDER``. It notes each request in ``FOLDER/NAME.jsonl`` before it answers,
so that a test can read what a pod saw that died of it. A file ``FOLDER/NAME.draining`` makes it
answer the balancer's check as a pod that is leaving. Request headers ask for trouble:

``X-Die: NAME``     that pod kills itself when it has read the request
``X-Refuse: NAME``  that pod answers 503
"""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_NAME, _FOLDER = sys.argv[1], Path(sys.argv[3])
_TICK_S = 0.1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/balancer/"):
            leaving = (_FOLDER / f"{_NAME}.draining").exists()
            self._answer(404 if leaving else 200, {})
            return
        seen = {
            "method": self.command,
            "path": self.path,
            "body_bytes": len(body),
            "turn_default": self.headers.get_all("X-Turn-Default"),
            "balancer_start": self.headers.get_all("X-Balancer-Start"),
            "forwarded_for": self.headers.get_all("X-Forwarded-For"),
            "forwarded": self.headers.get_all("Forwarded"),
            "forwarded_proto": self.headers.get_all("X-Forwarded-Proto"),
        }
        with (_FOLDER / f"{_NAME}.jsonl").open("a") as journal:
            journal.write(json.dumps(seen) + "\n")
        if self.headers.get("X-Die") == _NAME:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.path.endswith("/stream"):
            self._stream()
            return
        refuse = self.headers.get("X-Refuse") == _NAME
        self._answer(503 if refuse else 200, {"pod": _NAME, **seen})

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def _answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        # At once: a kill between two writes would be an error that no balancer can hide.
        self.wfile.write(head.encode() + body)

    def _stream(self) -> None:
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        )
        self.close_connection = True
        while True:
            self.wfile.write(f"data: {time.monotonic()}\n\n".encode())
            time.sleep(_TICK_S)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """A client that went away is no news."""


if __name__ == "__main__":
    _Server(("127.0.0.1", int(sys.argv[2])), _Handler).serve_forever()
