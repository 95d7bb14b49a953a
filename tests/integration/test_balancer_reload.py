"""Reloading a balancer's file, as the chart renders it, cuts no stream and refuses no request."""

import threading
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Self

import pytest

from tests.balanced_pods import wait_until
from tests.named_pods import Asking, Balancer, NamedPods

STREAMS = 50
SESSIONS = [f"user-{number}" for number in range(60)]


class Stream:
    """One stream that a thread reads until the block ends."""

    def __init__(self, balancer: Balancer, session: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", balancer.port, timeout=60)
        self._session = session
        self._over = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.events = 0
        self.cut = False
        self.pod = ""

    def _read(self) -> None:
        path = f"/v1/sessions/{self._session}/turns/t/stream"
        try:
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
            self.pod = answer.headers["X-Served-By"]
            while not self._over:
                line = answer.fp.readline()
                if not line:
                    self.cut = True
                    return
                self.events += line.startswith(b"data:")
        except (OSError, HTTPException):
            self.cut = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join(60)
        self._connection.close()


def go_on(streams: list[Stream], *, events: int) -> None:
    """Return when each stream has got so many more events, or was cut."""
    goals = [stream.events + events for stream in streams]
    wait_until(
        lambda: all(
            stream.cut or stream.events >= goal for stream, goal in zip(streams, goals, strict=True)
        ),
        what="every stream goes on",
    )


def test_a_reload_during_fifty_streams_cuts_none(tmp_path: Path) -> None:
    with NamedPods(tmp_path, workers=3) as pods:
        streams = [
            Stream(balancer, f"stream-{number}")
            for number in range(STREAMS // 2)
            for balancer in pods.balancers
        ]
        before = pods.balancers[0].places(SESSIONS)
        try:
            for stream in streams:
                stream.__enter__()
            go_on(streams, events=2)

            for balancer in pods.balancers:
                pods.reload(balancer)
            # Whatever a process that just started thinks of its pods: requests are answered.
            after = [balancer.places(SESSIONS) for balancer in pods.balancers]
            go_on(streams, events=10)
        finally:
            for stream in streams:
                stream.__exit__()

        assert [stream.cut for stream in streams] == [False] * STREAMS
        assert {stream.pod for stream in streams} == {"worker-0", "worker-1", "worker-2"}
        assert all(set(places) == set(SESSIONS) for places in after)
        pods.wait_used(pods.addresses)
        wait_until(
            lambda: all(one.places(SESSIONS) == before for one in pods.balancers),
            what="sessions are where they were",
        )


@pytest.mark.long
def test_requests_during_twenty_reloads_are_all_answered(tmp_path: Path) -> None:
    with NamedPods(tmp_path, workers=3, balancers=1) as pods:
        [balancer] = pods.balancers
        with Asking(pods, SESSIONS[:5], clients=4) as asking:
            for _ in range(20):
                pods.reload(balancer)

    assert asking.failures == []
