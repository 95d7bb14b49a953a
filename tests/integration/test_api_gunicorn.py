"""The routes behind a real gunicorn with gevent: what a test client cannot show.

Bodies as they come over a socket, streams that are really unbuffered, readers that vanish.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from kotaemon_node.api.page import WEB_DIR
from tests.redis_server import free_port

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One worker process on a free port."""
    log = tmp_path_factory.mktemp("gunicorn") / "log"
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as output:
        command = [
            *(sys.executable, "-m", "gunicorn", "--worker-class", "gevent", "--workers", "1"),
            *("--bind", f"fd://{listener.fileno()}", "--no-control-socket"),
            "tests.fakes.services:application()",
        ]
        server = subprocess.Popen(
            command, cwd=ROOT, pass_fds=[listener.fileno()], stdout=output, stderr=output
        )
        try:
            number = listener.getsockname()[1]
            until(lambda: server.poll() is not None or answers(number), within_s=60)
            assert server.poll() is None, log.read_text()
            yield number
            assert server.poll() is None, log.read_text()
        finally:
            server.terminate()
            server.wait(30)


def answers(port: int) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=2).ok
    return False


def until(condition: Callable[[], bool], *, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def raw(port: int, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes, end our side, and return status, headers and body of the first answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
    return int(status.split()[1]), headers, body


def test_an_announced_11_mb_body_is_413(port: int) -> None:
    answer = requests.post(
        f"http://127.0.0.1:{port}/chat",
        data=b'{"message": "' + b"a" * 11 * MIB + b'"}',
        headers={"Content-Type": "application/json"},
        timeout=30,
    )

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"
    assert answer.json()["error"]["trace_id"] == answer.headers["X-Trace-ID"]


def test_an_11_mb_body_in_chunks_is_413(port: int) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"message": "'
        for _ in range(11):
            yield b"a" * MIB
        yield b'"}'

    answer = requests.post(
        f"http://127.0.0.1:{port}/chat",
        data=chunks(),
        headers={"Content-Type": "application/json"},
        timeout=30,
    )

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_a_body_in_chunks_is_read(port: int) -> None:
    answer = requests.post(
        f"http://127.0.0.1:{port}/chat",
        data=iter([b'{"mess', b'age": "', "退货".encode()[:4], "退货".encode()[4:], b'"}']),
        headers={"Content-Type": "application/json"},
        timeout=30,
    )

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"5\r\n{}",
        b"2\r\n{}XX0\r\n\r\n",
        b"-1\r\n{}\r\n",
        b"ffffffffffffffffffff\r\n{}\r\n",
        b"",
    ],
)
def test_broken_chunks_are_the_senders_fault(port: int, chunks: bytes) -> None:
    head = (
        b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )

    status, headers, body = raw(port, head, chunks)

    # The server below the application may refuse first, in its own words.
    assert 400 <= status < 500
    if headers["content-type"] == "application/json":
        assert json.loads(body)["error"]["code"] in {"malformed", "invalid"}


def test_a_body_that_ends_early_is_malformed(port: int) -> None:
    head = (
        b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 500\r\nConnection: close\r\n\r\n"
    )

    status, _, body = raw(port, head, b'{"message": "a')

    assert status == 400
    assert json.loads(body)["error"]["code"] == "malformed"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/v1/sessions/%ff", 400),
        (b"/v1/knowledge/default/documents/%e4%b8", 400),
        (b"/v1/search?q=%ff", 400),
        (b"/v1/sessions/%2e%2e", 400),
        (b"/assets/../../services.py", 404),
        (b"/assets/%2e%2e/%2e%2e/settings.json", 404),
        (b"/assets/%00.js", 404),
        (b"/v1/search?q=" + b"%E9%80%80" * 400, 200),
    ],
)
def test_targets_as_they_come_over_the_wire(port: int, target: bytes, status: int) -> None:
    answered, headers, body = raw(
        port, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )

    assert answered == status, body[:200]
    assert headers["x-trace-id"]
    assert headers["content-type"] == "application/json"


def test_frames_arrive_one_by_one_and_a_vanished_reader_is_forgotten(port: int) -> None:
    # given a reader of a turn that never ends
    url = f"http://127.0.0.1:{port}"
    reader = requests.post(
        f"{url}/v1/sessions/s/turns",
        json={"message": "endless"},
        headers={"Accept": "text/event-stream"},
        stream=True,
        timeout=10,
    )

    # when it reads
    lines = reader.iter_lines(chunk_size=1)
    read = [next(lines) for _ in range(10)]

    # then it has two whole frames and then heartbeats, while the answer is still open
    assert [line for line in read if line.startswith(b"event: ")] == [
        b"event: status",
        b"event: source",
    ]
    assert b": heartbeat" in read
    assert streams(url) == 1

    # and when it goes, the pod lets go, too
    reader.close()
    until(lambda: streams(url) == 0, within_s=10)


def test_a_reader_that_leaves_at_once_is_forgotten(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    requests.post(
        f"{url}/chat", json={"session_id": "s", "turn_id": "t", "message": "a"}, timeout=10
    )
    head = b"GET /v1/sessions/s/turns/t/stream HTTP/1.1\r\nHost: x\r\n\r\n"

    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(head)

    until(lambda: streams(url) == 0, within_s=10)


def test_others_are_served_while_many_follow(port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    requests.post(
        f"{url}/chat", json={"session_id": "s", "turn_id": "t", "message": "a"}, timeout=10
    )
    with contextlib.ExitStack() as readers:
        for _ in range(50):
            connection = readers.enter_context(
                socket.create_connection(("127.0.0.1", port), timeout=10)
            )
            connection.sendall(b"GET /v1/sessions/s/turns/t/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: streams(url) == 50, within_s=20)

        answer = requests.get(f"{url}/v1/search?q=a", timeout=5)

    assert answer.status_code == 200
    until(lambda: streams(url) == 0, within_s=10)


def test_the_pages_files_are_sent_whole(port: int) -> None:
    files = [file for file in (WEB_DIR / "assets").rglob("*") if file.is_file()]
    assert files

    for file in files:
        name = file.relative_to(WEB_DIR).as_posix()
        answer = requests.get(f"http://127.0.0.1:{port}/{name}", timeout=10)
        assert answer.content == file.read_bytes(), name


def streams(url: str) -> float:
    text = requests.get(f"{url}/metrics", timeout=10).text
    (value,) = [
        line.split()[1] for line in text.splitlines() if line.startswith("kotaemon_streams_active ")
    ]
    return float(value)


@pytest.mark.parametrize("failure", ["RuntimeError", "SystemExit"])
def test_a_pod_that_cannot_start_says_why_and_ends_whatever_waits_for_it(
    tmp_path: Path, failure: str
) -> None:
    # Native libraries wait at an ordinary exit for threads that a forked process does not have.
    (tmp_path / "hopeless.py").write_text(
        "import atexit, time\n"
        "atexit.register(time.sleep, 1_000)\n"
        f"raise {failure}('there are no weights')\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "gunicorn", "--no-control-socket"),
            *("-c", "python:kotaemon_node.server.gunicorn_conf", "hopeless:app"),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{tmp_path}",
            "POD_ADDRESS": f"127.0.0.1:{free_port()}",
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 1
    assert "there are no weights" in done.stderr
