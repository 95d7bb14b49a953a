"""Webhooks to a real server of this machine, by workers on a real Redis."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisLater, connect
from kotaemon_node.adapters.system import RandomIds, ThreadTasks
from kotaemon_node.adapters.webhooks import HttpSender
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.webhooks import Subscriber, verify
from kotaemon_node.engine import later as later_engine
from kotaemon_node.engine.later import LaterWorker
from kotaemon_node.engine.webhooks import WebhookDelivery, Webhooks
from kotaemon_node.ports.later import WEBHOOK, LaterJob
from kotaemon_node.ports.webhooks import NotDelivered
from tests.redis_server import RedisServer, ServerClock

OLD, NEW = ("whsec_" + letters * 8 for letters in ("QUJD", "REVG"))


class Receiver:
    """A server that answers as told and keeps what it got."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.location = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((dict(self.headers), body))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 204)
                if outer.location:
                    self.send_header("Location", outer.location)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?of=us"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


class Lines:
    """The secrets that count now."""

    def __init__(self, *secrets: str) -> None:
        self.secrets = secrets

    def lines(self) -> tuple[str, ...]:
        return self.secrets


class Bench:
    """A worker, a subscriber, and what is put for it."""

    def __init__(self, server: RedisServer, receiver: Receiver, *, pod: str = "pod") -> None:
        self.store = connect(server.url)
        self.later = RedisLater(self.store)
        self.lines = Lines(OLD)
        one = Subscriber(
            "crm", receiver.url, frozenset({"turn.completed"}), "default", private=True
        )
        self.webhooks = Webhooks([one], self.later)
        self.stopped = False
        self.outcomes: list[str] = []
        self.worker = LaterWorker(
            self.later,
            handlers={
                WEBHOOK: WebhookDelivery(
                    [one],
                    secrets={"crm": self.lines},
                    sender=HttpSender(),
                    now_s=lambda: 0.0,  # a pod whose clock is wrong
                )
            },
            clock=ServerClock(server),
            ids=RandomIds(),
            tasks=ThreadTasks(),
            draining=lambda: self.stopped,
            jitter=lambda: 0.0,
            noting=later_engine.Noting(ended=lambda kind, outcome: self.outcomes.append(outcome)),
        )
        self._thread = threading.Thread(target=self.worker.run, daemon=True)
        self._thread.start()

    def emit(self, key: str) -> None:
        self.webhooks.emit(
            "turn.completed", tenant="default", key=key, at_s=1.0, data={"turn_id": key}
        )

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(6_000):
            if condition():
                return
            threading.Event().wait(0.01)
        raise AssertionError(f"it never came to that: {self.outcomes}")

    def stop(self) -> None:
        self.stopped = True
        self.worker.wake()
        self._thread.join(60)
        self.store.client.close()


@pytest.fixture
def bench(
    server: RedisServer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    server.wipe()
    monkeypatch.setattr(limits, "LATER_BACKOFF_S", 0.02)
    monkeypatch.setattr(limits, "LATER_POLL_S", 0.02)
    bench = Bench(server, receiver)
    yield bench
    bench.stop()


def test_a_receiver_that_fails_three_times_gets_one_message_in_the_end(
    bench: Bench, receiver: Receiver
) -> None:
    receiver.statuses[:] = [500, 503, 302]
    receiver.location = receiver.url  # a redirect is not followed
    bench.emit("t1")
    bench.emit("t1")
    bench.until(lambda: bench.outcomes == ["failed", "failed", "failed", "done"])

    assert len(receiver.got) == 4
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len({body for _, body in receiver.got}) == 1
    headers, body = receiver.got[-1]
    # Signed at the store's time, which is that of this machine; the pod's own says 1970.
    assert verify(headers, body, secrets=[OLD], now_s=time.time()) == headers["webhook-id"]
    assert json.loads(body) == {
        "data": {"turn_id": "t1"},
        "timestamp": "1970-01-01T00:00:01.000+00:00",
        "type": "turn.completed",
    }
    assert headers["Content-Type"] == "application/json"


def test_while_secrets_change_both_sign(bench: Bench, receiver: Receiver) -> None:
    bench.lines.secrets = (NEW, OLD)
    bench.emit("t1")
    bench.until(lambda: bench.outcomes == ["done"])
    headers, body = receiver.got[0]
    for secret in (OLD, NEW):
        verify(headers, body, secrets=[secret], now_s=time.time())


def test_what_nobody_takes_is_a_dead_letter_and_can_be_sent_again(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kotaemon_node.engine import webhooks

    monkeypatch.setattr(webhooks, "WEBHOOK_ATTEMPTS_MAX", 3)
    receiver.statuses[:] = [500, 500, 404]
    bench.emit("t1")
    bench.until(lambda: "dead" in bench.outcomes)
    [letter] = bench.later.dead("default", limit=9)
    assert (letter.error, letter.attempts) == ("it answered 404", 3)

    bench.later.retry("default", letter.name)
    bench.until(lambda: "done" in bench.outcomes)
    assert bench.later.dead("default", limit=9) == []


def test_one_that_wants_no_more_and_one_that_is_no_more_are_not_asked_again(
    bench: Bench, receiver: Receiver
) -> None:
    receiver.statuses[:] = [410]
    bench.emit("t1")
    bench.later.put(LaterJob("x", WEBHOOK, "default", {"to": "old", "message_id": "m", "body": {}}))
    bench.until(lambda: bench.outcomes == ["dead", "dead"])
    assert {row.error for row in bench.later.dead("default", limit=9)} == {
        "it answered 410: it wants no more",
        "WEBHOOKS_FILE has no such webhook any more",
    }
    assert len(receiver.got) == 1


def test_a_private_address_is_asked_only_where_the_file_permits_it(receiver: Receiver) -> None:
    with pytest.raises(NotDelivered, match="private network"):
        HttpSender().send(receiver.url, b"{}", headers={}, private=False)
    with pytest.raises(NotDelivered, match="metadata"):
        HttpSender().send("http://169.254.169.254/latest", b"{}", headers={}, private=True)
    assert receiver.got == []
    assert HttpSender().send(receiver.url, b"{}", headers={}, private=True) == 204


_DRIP = """
import sys
if sys.argv[1] == "greenlets":
    from gevent import monkey
    monkey.patch_all()
import socket, threading, time
from kotaemon_node.adapters.webhooks import HttpSender, sending
from kotaemon_node.ports.webhooks import NotDelivered

tls = sys.argv[2] == "https"
sending.WEBHOOK_TIMEOUT_S = 0.3
was_left = threading.Event()
listening = socket.create_server(("127.0.0.1", 0))

def drip():
    line, _ = listening.accept()
    with line:
        try:
            line.sendall(b"\\x16\\x03\\x03\\x40\\x00" if tls else b"")
            for _ in range(600):
                line.sendall(b"\\x02" if tls else b"H")
                time.sleep(0.05)
        except OSError:
            was_left.set()

thread = threading.Thread(target=drip, daemon=True)
thread.start()
try:
    url = f"{sys.argv[2]}://127.0.0.1:{listening.getsockname()[1]}/"
    HttpSender().send(url, b"{}", headers={}, private=True)
except NotDelivered as error:
    thread.join(60)
    print(error, was_left.is_set())
"""


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("runs_in", ["threads", "greenlets"])
def test_a_receiver_that_drips_is_left(scheme: str, runs_in: str) -> None:
    """In its answer, or even before, while both agree on how to encrypt; also in a gevent pod."""
    told = subprocess.run(
        [sys.executable, "-c", _DRIP, runs_in, scheme],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert told.stdout == "127.0.0.1 gave no whole answer True\n", told.stderr


def test_a_worker_that_was_killed_over_it_leaves_it_to_another(
    server: RedisServer, receiver: Receiver, bench: Bench
) -> None:
    """Its lease ends; what was sent twice has one id."""
    bench.stop()
    bench.later = RedisLater(connect(server.url))
    bench.webhooks._later = bench.later
    bench.emit("t1")
    [dead] = bench.later.take({WEBHOOK: 1}, holder="killed", lease_s=0.3)
    assert bench.later.take({WEBHOOK: 1}, holder="early", lease_s=60) == []
    heir = Bench(server, receiver)
    heir.until(lambda: heir.outcomes == ["done"])
    heir.stop()
    assert (dead.job.attempt, len(receiver.got)) == (1, 1)
