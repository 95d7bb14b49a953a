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
    """How late a short timer of this process fires: what any greenlet or thread waits in vain.

    A machine that others use adds its own delay, the time in which our thread could run and got no
    core. Linux counts that time for each thread; without it the lag is what this process does to
    itself: work on the loop, and waiting for the interpreter's lock.
    """

    def __init__(self) -> None:
        self._late_ms: list[float] = []
        self._own_ms: list[float] = []
        threading.Thread(target=self._run, daemon=True).start()

    def taken(self) -> tuple[list[float], list[float]]:
        """Return the samples since the last call, ms: whole, and without waiting for a core."""
        taken = self._late_ms, self._own_ms
        self._late_ms, self._own_ms = [], []
        return taken

    def _run(self) -> None:
        # Under gevent this thread is a greenlet, and the lag is the loop's.
        schedstat = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
        while True:
            due_s = time.monotonic() + LAG_EVERY_S
            waited_ms = _waited_for_core_ms(schedstat)
            time.sleep(LAG_EVERY_S)
            late_ms = (time.monotonic() - due_s) * 1000
            self._late_ms.append(late_ms)
            waited_ms = _waited_for_core_ms(schedstat) - waited_ms
            self._own_ms.append(max(0.0, late_ms - waited_ms))


def _waited_for_core_ms(schedstat: int) -> float:
    """Return how long the thread was ready to run and did not, since it began."""
    return int(os.pread(schedstat, 100, 0).split()[1]) / 1e6


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
        late_ms, own_ms = lag.taken()
        return jsonify(
            {
                "pid": process.pid,
                "rss_bytes": process.memory_info().rss,
                "threads": process.num_threads(),
                "lag_ms": late_ms,
                "own_lag_ms": own_ms,
            }
        )

    return app


app = make_app()
