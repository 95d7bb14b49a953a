"""The script of `helm test`: it is content with a cluster, and not with one that loses a frame."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from tests.cluster import Cluster
from tests.helm_chart import CHART

SCRIPT = CHART / "files" / "conversation.py"
KEY = "not-a-secret"


def converse(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), url],
        env={"ADMIN_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_cluster_answers_and_the_stream_goes_on(cluster: Cluster) -> None:
    done = converse(cluster.url)

    assert done.returncode == 0, done.stderr
    assert "the stream resumed after the first" in done.stdout


class Service(BaseHTTPRequestHandler):
    """A service whose turn has three frames, of which it sends ``resumed`` to who comes back."""

    resumed: ClassVar[list[int]]

    def do_POST(self) -> None:
        """Begin a session, or a turn whose stream ends early."""
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self.answer(401, b"{}")
        elif self.path.endswith("/turns"):
            self.frames([1, 2])
        else:
            self.answer(201, b'{"session_id": "s1"}')

    def do_GET(self) -> None:
        """Send the rest of the turn, or the session."""
        if self.path.endswith("/stream"):
            assert self.headers["Last-Event-ID"] == "helm-test:1"
            self.frames(self.resumed)
        else:
            self.answer(200, b'{"turns": [{"turn_id": "helm-test", "answer": "Five."}]}')

    def do_DELETE(self) -> None:
        """Forget nothing: there is nothing."""
        self.answer(204, b"")

    def frames(self, numbers: list[int]) -> None:
        """Send these frames of the turn."""
        sent = [{"seq": seq, "type": "done" if seq == 3 else "delta"} for seq in numbers]
        self.answer(200, b"".join(b"data: %s\n\n" % json.dumps(it).encode() for it in sent))

    def answer(self, status: int, body: bytes) -> None:
        """Send a whole answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def service(resumed: list[int]) -> Iterator[str]:
    """Run such a service; yields its address."""
    handler = type("Resuming", (Service,), {"resumed": resumed})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("resumed", "problem"), [([2, 3], None), ([3], "missing"), ([1, 2, 3], "doubled")]
)
def test_a_frame_lost_or_doubled_fails_it(resumed: list[int], problem: str | None) -> None:
    with service(resumed) as url:
        done = converse(url)

    assert (done.returncode == 0) == (problem is None), done.stderr
    assert problem is None or problem in done.stderr
