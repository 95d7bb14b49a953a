"""The server under measure: a small Flask application with open streams beside encoding.

Served by gunicorn; how it encodes is named by ``BENCH_ENCODE``:

- ``pool``: on the native threads of the product's ``GeventTasks`` (``BENCH_THREADS`` of them)
- ``inline``: in the greenlet or thread that serves the request
- ``socket``: in another process, asked over the unix socket ``BENCH_SOCKET``

Encoder and tasks are the product's own, so that what is measured is what runs.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent.queue
import psutil
from concurrency_encoder import EncoderConnection
from flask import Flask, Response, jsonify, request

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.system.gevent_tasks import GeventTasks

LAG_EVERY_S = 0.02
Encode = Callable[[str], bytes]


class LagSampler:
    """How late a short timer of this process fires: what any greenlet or thread waits in vain."""

    def __init__(self) -> None:
        self._late_ms: list[float] = []
        threading.Thread(target=self._run, daemon=True).start()

    def taken(self) -> list[float]:
        """Return the samples since the last call, ms."""
        late_ms, self._late_ms = self._late_ms, []
        return late_ms

    def _run(self) -> None:
        # Under gevent this thread is a greenlet, and the lag is the loop's.
        while True:
            due_s = time.monotonic() + LAG_EVERY_S
            time.sleep(LAG_EVERY_S)
            self._late_ms.append((time.monotonic() - due_s) * 1000)


def make_encode() -> Encode:
    """Return the way of encoding that the environment names."""
    way = os.environ["BENCH_ENCODE"]
    threads = int(os.environ.get("BENCH_THREADS", "1"))
    if way == "socket":
        idle: gevent.queue.Queue[EncoderConnection] = gevent.queue.Queue()
        for _ in range(threads):
            idle.put(EncoderConnection(Path(os.environ["BENCH_SOCKET"])))
        return lambda text: _ask_other_process(idle, text)
    encoder = make_encoder("all-MiniLM-L6-v2", "onnx", Path(os.environ["BENCH_MODELS"]), 1)

    def encoded(text: str) -> bytes:
        (space,) = encoder.encode_queries([text]).values()
        return space.vectors.tobytes()

    if way == "inline":
        return encoded
    tasks = GeventTasks(native_threads=threads)

    def computed(text: str) -> bytes:
        vector: bytes = tasks.compute(encoded, text)
        return vector

    return computed


def _ask_other_process(idle: "gevent.queue.Queue[EncoderConnection]", text: str) -> bytes:
    connection = idle.get()
    try:
        return connection.encoded(text)
    finally:
        idle.put(connection)


def heartbeats(interval_s: float) -> Iterator[bytes]:
    """Yield a comment every ``interval_s``; each says when it was due on the machine's clock."""
    yield b": open\n\n"
    while True:
        due_s = time.monotonic() + interval_s
        time.sleep(interval_s)
        yield b": %.6f\n\n" % due_s


def make_app() -> Flask:
    """Return the application."""
    app = Flask(__name__)
    process = psutil.Process()
    lag = LagSampler()
    encode = make_encode()

    @app.get("/stream")
    def stream() -> Response:
        return Response(heartbeats(float(request.args["interval_s"])), mimetype="text/event-stream")

    @app.post("/encode")
    def encode_question() -> Response:
        return Response(encode(request.get_data(as_text=True)), mimetype="application/octet-stream")

    @app.get("/probe")
    def probe() -> Response:
        """What this process knows of itself since the last probe."""
        return jsonify(
            {
                "pid": process.pid,
                "rss_bytes": process.memory_info().rss,
                "threads": process.num_threads(),
                "lag_ms": lag.taken(),
            }
        )

    return app


app = make_app()
