"""A plugin whose name server is silent holds up its own connections, and nobody's names."""

import errno
import subprocess
import sys
import threading
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from kotaemon_node.adapters.sandbox.manifest_file import read_manifest
from kotaemon_node.adapters.sandbox.network import Network, Refused
from kotaemon_node.adapters.system import SystemClock, ThreadTasks

MANIFEST = read_manifest("wild", "{effects: read, hosts: ['slow.example:443']}")


def test_few_names_of_a_plugin_are_resolved_at_once() -> None:
    end, begun = threading.Event(), threading.Semaphore(0)

    def silent(name: str, port: int) -> Any:
        begun.release()
        assert end.wait(60)
        return []

    network = Network(MANIFEST, clock=SystemClock(), tasks=ThreadTasks(), resolve=silent)

    def refusal(timeout_s: float) -> int:
        with pytest.raises(Refused) as refused:
            network.connect("slow.example", 443, timeout_s, check=lambda: None)
        return refused.value.number

    for _ in range(2):
        assert refusal(0.0) == errno.ETIMEDOUT
        assert begun.acquire(timeout=60)
    for _ in range(5):
        assert refusal(5.0) == errno.EAGAIN
    assert not begun.acquire(timeout=0)

    end.set()
    numbers = {refusal(5.0) for _ in range(100)}
    assert errno.EHOSTUNREACH in numbers  # the two have their answer: there is no address


POD = """
    from gevent import monkey
    monkey.patch_all()
    import socket, time
    import _socket
    real, asked = _socket.getaddrinfo, []
    sleep = monkey.get_original("time", "sleep")
    def silent(host, *rest):
        if "slow" in str(host):
            asked.append(host)
            sleep(60)
        return real(host, *rest)
    _socket.getaddrinfo = silent
    from kotaemon_node.adapters.sandbox.manifest_file import read_manifest
    from kotaemon_node.adapters.sandbox.network import Network, Refused, Resolver
    from kotaemon_node.adapters.system import SystemClock
    from kotaemon_node.adapters.system.gevent_tasks import GeventTasks
    resolve = Resolver(GeventTasks(native_threads=16).compute)
    text = "{effects: read, hosts: ['slow.example:443', 'localhost:1']}"
    def network():
        tasks, manifest = GeventTasks(native_threads=1), read_manifest("wild", text)
        return Network(manifest, clock=SystemClock(), tasks=tasks, resolve=resolve)
    for _ in range(7):
        plugin = network()
        for _ in range(3):
            try:
                plugin.connect("slow.example", 443, 0.0, check=lambda: None)
            except Refused:
                pass
    began = time.monotonic()
    while len(asked) < 14:
        time.sleep(0.01)
    socket.getaddrinfo("localhost", 80)
    try:
        network().connect("localhost", 1, 5.0, check=lambda: None)
    except Refused as refused:
        print(refused.why)
    print(len(asked), "slow" if time.monotonic() - began > 30 else "quick", flush=True)
    import os
    os._exit(0)
"""


def test_silent_name_servers_of_plugins_hold_up_no_name_of_the_pod() -> None:
    told = subprocess.run(
        [sys.executable, "-c", dedent(POD)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout.splitlines()

    assert told[0].startswith("localhost: 127.0.0.1 ") or "::1" in told[0]
    assert told[1] == "14 quick"
