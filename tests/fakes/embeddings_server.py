"""A small OpenAI-compatible server of embeddings over real HTTP, with faults.

``faults`` is what goes wrong with the next requests, one entry each: a status (500, 429, 400 …),
``mute`` (no answer), ``drops`` (bytes that trickle), ``cut``, ``garbage``, ``few`` (a vector too
little), ``nan``, ``larger`` (vectors of another size), ``elsewhere`` (a redirect).
"""

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import numpy as np

from tests.fakes.encoder import HashingEncoder


class EmbeddingsServer:
    """Serves the vectors of a ``HashingEncoder``, twice as long as they should be, in any order."""

    def __init__(self, *, chars_max: int = 10**9, knows_base64: bool = True) -> None:
        self.encoder = HashingEncoder()
        self.chars_max = chars_max
        self.knows_base64 = knows_base64
        self.retry_after: str | None = None
        self.faults: deque[int | str] = deque()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.redirected = 0
        self._ended = threading.Event()
        handler = type("Handler", (_Handler,), {"server_of_test": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._http.shutdown()
        self._http.server_close()

    def wait_for_end(self) -> None:
        """Be silent until the test is over."""
        self._ended.wait(60)

    def rows(self, texts: Sequence[str], form: str, fault: int | str | None) -> list[Any]:
        """Return the rows of the answer, the last first."""
        vectors = 2 * self.encoder.encode_passages(texts)["all"].vectors
        if fault == "nan":
            vectors[0, 0] = np.nan
        if fault == "larger":
            vectors = np.hstack([vectors, vectors])
        rows = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode()
                if form == "base64"
                else row.tolist(),
            }
            for index, row in enumerate(vectors)
        ][::-1]
        return rows[:-1] if fault == "few" else rows

    @property
    def inputs(self) -> list[list[str]]:
        """The texts of each request."""
        return [body["input"] for body in self.bodies]


class _Handler(BaseHTTPRequestHandler):
    server_of_test: EmbeddingsServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        test = self.server_of_test
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/embeddings":
            test.redirected += 1
            return self._answer(200, {"data": test.rows(body["input"], "float", None)})
        test.bodies.append(body)
        test.headers.append(dict(self.headers))
        fault = test.faults.popleft() if test.faults else None
        form = body["encoding_format"]
        if form == "base64" and not test.knows_base64:
            return self._answer(422, {"error": "encoding_format: unknown"})
        if max(map(len, body["input"])) > test.chars_max:
            return self._answer(413, {"error": "too many tokens"})
        return self._faulty(fault, body["input"], form)

    def _faulty(self, fault: int | str | None, texts: Sequence[str], form: str) -> None:
        test = self.server_of_test
        if isinstance(fault, int):
            key = self.headers.get("Authorization", "")
            return self._answer(fault, {"error": f"no luck with {key}"})
        if fault == "mute":
            return test.wait_for_end()
        if fault == "cut":
            self.close_connection = True
            return None
        if fault == "garbage":
            return self._answer(200, {"data": "none"})
        if fault == "elsewhere":
            return self._answer(307, {}, {"Location": "/other"})
        answer = {"data": test.rows(texts, form, fault), "model": "m", "object": "list"}
        return self._answer(200, answer, pause_s=0.2 if fault == "drops" else 0.0)

    def _answer(
        self,
        status: int,
        body: object,
        headers: dict[str, str] | None = None,
        *,
        pause_s: float = 0.0,
    ) -> None:
        written = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(written)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.server_of_test.retry_after is not None and status != 200:
            self.send_header("Retry-After", self.server_of_test.retry_after)
        self.end_headers()
        if not pause_s:
            self.wfile.write(written)
            return
        for at in range(0, len(written), 16):
            self.wfile.write(written[at : at + 16])
            self.wfile.flush()
            time.sleep(pause_s)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
