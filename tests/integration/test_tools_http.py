"""The tools adapter against a real HTTP server: answers, refusals, and what is not known."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.tools.http import HttpToolbox
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Fenced
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.tools import Caller, ToolFailed, ToolOutcomeUnknown
from tests.fakes.tool_server import ToolServer
from tests.tool_pods import tool_at

NOBODY = Caller("default", "s1")
KEY = "s1:t1:1.1"
SECRET = "Bearer of-the-shop"


@pytest.fixture
def tools() -> Iterator[ToolServer]:
    with ToolServer() as server:
        yield server


def call(tools: ToolServer, *, name: str = "act", stop: Stop | None = None, **options: Any) -> Any:
    box = HttpToolbox([tool_at(tools, "act", "once", **options)])
    return box.call(name, {"order": "A1"}, caller=NOBODY, key=KEY, stop=stop or Stop())


def test_a_call_carries_arguments_key_and_secrets(tools: ToolServer) -> None:
    value = call(tools, headers={"Authorization": SECRET})
    assert value == {"code": "PX-0001", "asked": {"order": "A1"}}
    (asked,) = tools.asked("/act")
    assert (asked.key, asked.arguments) == (KEY, {"order": "A1"})
    assert asked.headers["Authorization"] == SECRET


def test_a_netrc_does_not_take_the_secrets_place(
    tools: ToolServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n", "utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    call(tools, headers={"Authorization": SECRET})
    assert tools.asked()[0].headers["Authorization"] == SECRET


def test_get_sends_the_arguments_as_a_query(tools: ToolServer) -> None:
    call(tools, method="GET")
    assert tools.asked()[0].path == "/act?order=A1"


@pytest.mark.parametrize(
    ("kind", "body", "value"),
    [
        ("text/plain; charset=utf-8", "到了".encode(), "到了"),
        ("application/json", b"", None),
        ("application/json", b"[1, 2]", [1, 2]),
        ("application/problem+json", b'"x"', "x"),
    ],
)
def test_forms_of_an_answer(tools: ToolServer, kind: str, body: bytes, value: Any) -> None:
    tools.doings.raw = (kind, body)
    assert call(tools) == value


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("application/json", b"{", "what is not JSON"),
        ("application/json", b"\xff", "what is not JSON"),
        ("application/json", b"[" * 40 + b"]" * 40, "levels of JSON"),
        ("text/plain", b"x" * (limits.TOOL_ANSWER_BYTES_MAX + 1), "more than 262144 bytes"),
    ],
)
def test_a_success_that_cannot_be_read_is_no_failure(
    tools: ToolServer, kind: str, body: bytes, told: str
) -> None:
    tools.doings.raw = (kind, body)
    with pytest.raises(ToolOutcomeUnknown, match=told):
        call(tools)


@pytest.mark.parametrize("status", [301, 307, 400, 404, 409, 429, 501])
def test_an_error_status_is_a_failure_that_the_tool_told(tools: ToolServer, status: int) -> None:
    tools.doings.status = status
    tools.doings.raw = ("text/plain", f"no, {SECRET} is wrong".encode())
    with pytest.raises(ToolFailed, match=f"act answered {status}: no, ") as raised:
        call(tools, headers={"Authorization": SECRET})
    assert raised.value.reached
    assert SECRET not in str(raised.value)
    assert len(tools.asked()) == 1  # neither tried again nor redirected


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_failure_of_the_server_leaves_open_what_the_tool_did(
    tools: ToolServer, status: int
) -> None:
    tools.doings.status = status
    with pytest.raises(ToolOutcomeUnknown, match=str(status)):
        call(tools)


def test_a_tool_that_hangs_up_may_have_acted(tools: ToolServer) -> None:
    tools.doings.hang_up = True
    with pytest.raises(ToolOutcomeUnknown, match="broke before its answer"):
        call(tools)
    assert tools.effects() == {KEY: 1}


def test_a_tool_that_is_slow_may_have_acted(tools: ToolServer) -> None:
    tools.doings.delay_s = 30
    began_s = time.monotonic()
    with pytest.raises(ToolOutcomeUnknown, match=r"did not answer within 0\.3 s"):
        call(tools, timeout_s=0.3)
    assert time.monotonic() - began_s < 5


def test_a_time_limit_is_told_as_one_where_the_socket_finds_it_first(
    tools: ToolServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a machine that is so busy that the timer's thread has no turn
    monkeypatch.setattr(threading.Timer, "run", lambda timer: None)
    tools.doings.delay_s = 30
    with pytest.raises(ToolOutcomeUnknown, match=r"did not answer within 0\.3 s"):
        call(tools, timeout_s=0.3)


@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", "HTTP"])
def test_a_tool_that_drips_is_late_all_the_same(tools: ToolServer, head: str) -> None:
    # Given a server that sends a byte now and then, and never ends
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(head.encode())
            while not ended.wait(0.1):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    tools_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        tool = tool_at(tools, "act", "once", timeout_s=0.5)
        moved = type(tool)(tool.spec, tools_url, tool.method, tool.timeout_s, tool.headers)
        with pytest.raises(ToolOutcomeUnknown, match=r"within 0\.5 s"):
            HttpToolbox([moved]).call("act", {"order": "A1"}, caller=NOBODY, key=KEY, stop=Stop())
    finally:
        ended.set()
        thread.join()
        listener.close()


def test_nobody_listens(tools: ToolServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/act"
        tool = tool_at(tools, "act", "once")
        moved = type(tool)(tool.spec, url, tool.method, tool.timeout_s, tool.headers)
        with pytest.raises(ToolFailed, match="cannot be reached; nothing was done") as raised:
            HttpToolbox([moved]).call("act", {"order": "A1"}, caller=NOBODY, key=KEY, stop=Stop())
    assert not raised.value.reached
    assert "127.0.0.1" not in str(raised.value)


def test_what_is_refused_here_is_not_sent(tools: ToolServer) -> None:
    box = HttpToolbox([tool_at(tools, "act", "once")])
    with pytest.raises(ToolFailed, match="there is no tool sell; the tools are: act"):
        box.call("sell", {}, caller=NOBODY, key=KEY, stop=Stop())
    with pytest.raises(ToolFailed, match="order is missing; correct it"):
        box.call("act", {}, caller=NOBODY, key=KEY, stop=Stop())
    assert not tools.asked()


def test_a_stop_hangs_up_though_the_tool_is_silent(tools: ToolServer) -> None:
    tools.doings.delay_s = 60
    stop, reason = Stop(), Fenced("another pod owns the turn")
    raised: list[Exception] = []

    def wait() -> None:
        try:
            call(tools, stop=stop)
        except Fenced as error:
            raised.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    eventually(lambda: len(tools.asked()) == 1)
    stop.request(reason)
    waiting.join(5)
    assert raised == [reason]


def test_a_turn_that_is_stopped_calls_nobody(tools: ToolServer) -> None:
    stop = Stop()
    stop.request(Fenced("another pod owns the turn"))
    with pytest.raises(Fenced):
        call(tools, stop=stop)
    assert not tools.asked()


@pytest.mark.parametrize(
    ("status", "fault", "settles"),
    [
        (404, False, True),
        (422, False, True),
        (409, False, False),
        (429, True, False),
        (401, True, False),
    ],
)
def test_some_refusals_say_nothing_of_an_earlier_call_under_the_key(
    tools: ToolServer, status: int, fault: bool, settles: bool
) -> None:
    tools.doings.status = status
    with pytest.raises(ToolFailed) as raised:
        call(tools)
    assert (raised.value.fault, raised.value.settles) == (fault, settles)


UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from kotaemon_node.adapters.tools.described import HttpTool
from kotaemon_node.adapters.tools.http import HttpToolbox
from kotaemon_node.domain.errors import Fenced
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.tools import Caller
from kotaemon_node.ports.tools import ToolOutcomeUnknown, ToolSpec

def called(timeout_s, stop):
    tool = HttpTool(ToolSpec("act", "Acts.", {}, "once"), sys.argv[1], "POST", timeout_s, {})
    try:
        HttpToolbox([tool]).call("act", {}, caller=Caller("default", "s1"), key="k", stop=stop)
    except (Fenced, ToolOutcomeUnknown) as error:
        return type(error).__name__

stop = Stop()
stopped, late = gevent.spawn(called, 30, stop), gevent.spawn(called, 1.0, Stop())
late.join(5)
stop.request(Fenced("another pod owns the turn"))
stopped.join(5)
assert (stopped.value, late.value) == ("Fenced", "ToolOutcomeUnknown"), (stopped, late)
"""


def test_stop_and_time_limit_reach_a_greenlet(tools: ToolServer) -> None:
    tools.doings.delay_s = 60
    command = [sys.executable, "-c", UNDER_GEVENT, f"{tools.url}/act"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], timeout=60, check=False)
    assert done.returncode == 0
    assert len(tools.asked()) == 2


def eventually(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.01)
