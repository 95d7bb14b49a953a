"""The port by which a pod is told that it is about to be stopped."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest
import requests
from pydantic import ValidationError

from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain import limits
from kotaemon_node.server.leave_port import LeavePort, Leaving
from kotaemon_node.settings import Settings


@dataclass
class Told:
    """A pod, its clock, and what the port made of them."""

    now_s: float = 100.0
    slept_s: list[float] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def monotonic_s(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)
        self.now_s += duration_s

    def leaving(self) -> Leaving:
        clock: Any = self
        return Leaving(
            take_no_more=lambda: self.done.append("takes no more"),
            end=lambda: self.done.append("ends"),
            clock=clock,
            later=lambda delay_s, call: self.later.append((delay_s, call)),
        )


def call(leaving: Leaving, method: str = "GET", path: str = "/leave") -> str:
    statuses: list[str] = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path}
    b"".join(leaving(environ, lambda status, headers: statuses.append(status)))
    return statuses[0]


def test_the_answer_comes_when_the_balancers_have_seen_it() -> None:
    told = Told()

    assert call(told.leaving()) == "200 OK"

    assert told.done == ["takes no more"]
    assert told.slept_s == [limits.LEAVE_WAIT_S]
    # A balancer asks twice a second.
    assert limits.LEAVE_WAIT_S >= 4.0


def test_who_asks_again_waits_for_what_is_left_and_changes_nothing() -> None:
    told = Told()
    leaving = told.leaving()
    call(leaving)
    told.now_s -= 2.0  # as if asked two seconds before the first answer

    assert call(leaving) == "200 OK"
    assert call(leaving) == "200 OK"

    assert told.done == ["takes no more"]
    assert told.slept_s == [limits.LEAVE_WAIT_S, 2.0]
    assert len(told.later) == 1


def test_a_pod_that_was_told_and_is_not_stopped_ends_by_itself() -> None:
    told = Told()
    call(told.leaving())

    [(delay_s, end)] = told.later
    end()

    assert told.done == ["takes no more", "ends"]
    assert delay_s == limits.LEAVE_ENDS_S > limits.LEAVE_WAIT_S


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", "404 Not Found"),
        ("GET", "/leave/", "404 Not Found"),
        ("POST", "/leave", "405 Method Not Allowed"),
        ("HEAD", "/leave", "405 Method Not Allowed"),
    ],
)
def test_nothing_else_makes_a_pod_leave(method: str, path: str, status: str) -> None:
    told = Told()

    assert call(told.leaving(), method, path) == status

    assert not told.done


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A real port in a loop of its own."""
    monkeypatch.setattr(limits, "LEAVE_WAIT_S", 0.2)
    monkeypatch.setattr(limits, "CLIENT_STALL_S", 0.5)
    ports: list[int] = []
    listening, over = threading.Event(), threading.Event()

    def serve() -> None:
        clock = SystemClock()
        # This thread is not patched as a pod is: the clock would hold the loop up.
        clock.sleep = gevent.sleep  # type: ignore[method-assign]
        leaving = Leaving(take_no_more=lambda: None, end=lambda: None, clock=clock)
        server = LeavePort("127.0.0.1", 0, leaving)
        server.start()
        ports.append(server.server_port)
        listening.set()
        while not over.is_set():
            gevent.sleep(0.02)
        server.stop(timeout=0.1)

    thread = threading.Thread(target=serve)
    thread.start()
    assert listening.wait(60)
    yield ports[0]
    over.set()
    thread.join(60)


def test_connections_that_say_nothing_keep_nobody_out(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]

    answer = requests.get(f"http://127.0.0.1:{port}/leave", timeout=60)

    assert (answer.status_code, answer.text) == (200, "no new work comes\n")
    for connection in silent:
        connection.close()


@pytest.mark.parametrize("address", ["0.0.0.0:8000", "[::]:8000", ":8000", "*:8000", ":::8000"])
def test_an_address_under_which_nobody_could_reach_the_pod_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("POD_ADDRESS", address)

    with pytest.raises(ValidationError, match=r"POD_ADDRESS .* \$\(POD_IP\):8000"):
        Settings()


@pytest.mark.parametrize(
    ("address", "host"), [("10.1.2.3:8000", "10.1.2.3"), ("[fd00::7]:8000", "fd00::7")]
)
def test_the_port_is_at_the_pods_own_host(
    monkeypatch: pytest.MonkeyPatch, address: str, host: str
) -> None:
    monkeypatch.setenv("POD_ADDRESS", address)
    assert Settings().pod_host == host
    assert Settings().leave_port is None
