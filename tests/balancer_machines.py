"""Machines that are network namespaces on one network: two balancers, a client, and the pods.

Needs root, ``ip`` (iproute2), ``keepalived`` and ``curl``; says so where one is missing.
"""

import ctypes
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self, TypeVar

from kotaemon_node.local import haproxy_places

_ROOT = Path(__file__).resolve().parents[1]
_PODS = _ROOT / "tests" / "fakes" / "named_pods.py"
_CLONE_NEWNET = 0x40000000
# Addresses for measuring networks (RFC 2544): nothing else on a machine has them.
_NETWORK: Final = "198.19.77"
SHARED: Final = f"{_NETWORK}.10"
BALANCERS: Final = {"first": f"{_NETWORK}.11", "second": f"{_NETWORK}.12"}
_CLIENT: Final = f"{_NETWORK}.2"
PODS: Final = {f"worker-{slot}": f"{_NETWORK}.{21 + slot}" for slot in range(3)}
_POD_PORT: Final = 8000

_Value = TypeVar("_Value")


def missing() -> str:
    """Return what this machine lacks for such machines; "" where nothing is."""
    if os.geteuid() != 0:
        return "root, to make network namespaces"
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    programs = ("ip", "keepalived", "curl", "haproxy")
    return ", ".join(name for name in programs if shutil.which(name, path=path) is None)


class Machines:
    """The network and all that runs on it; a context manager that leaves nothing behind."""

    def __init__(self) -> None:
        self._mark = f"kt{os.getpid()}"
        self._stack = ExitStack()
        self._running: dict[str, list[subprocess.Popen[str]]] = {}
        # Not below /tmp: keepalived runs no script of a folder that everybody may write to.
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self._mark}-", dir="/run"))
        self._stack.callback(shutil.rmtree, self._folder)

    def __enter__(self) -> Self:
        try:
            self._add_network()
            self._start_pods()
            for name in BALANCERS:
                self.start(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self.kill(name)
        self._stack.close()

    def _space(self, name: str) -> str:
        return f"{self._mark}-{name}"

    def _add_network(self) -> None:
        self._add_space("lan")
        self._ip("lan", "link add lan type bridge forward_delay 0")
        self._ip("lan", "link set lan up")
        for name, address in {"client": _CLIENT, **BALANCERS}.items():
            self._add_machine(name, [address])
        self._add_machine("pods", list(PODS.values()))

    def _add_space(self, name: str) -> None:
        _run("ip", "netns", "add", self._space(name))
        self._stack.callback(_run, "ip", "netns", "del", self._space(name))
        self._ip(name, "link set lo up")

    def _add_machine(self, name: str, addresses: list[str]) -> None:
        self._add_space(name)
        port = f"to-{name}"
        self._ip("lan", f"link add {port} type veth peer name net0 netns {self._space(name)}")
        self._ip("lan", f"link set {port} master lan up")
        for address in addresses:
            self._ip(name, f"address add {address}/24 dev net0")
        self._ip(name, "link set net0 up")

    def _ip(self, name: str, command: str) -> str:
        return _run("ip", "-n", self._space(name), *command.split())

    def _spawn(self, machine: str, *command: str) -> subprocess.Popen[str]:
        with (self._folder / f"{machine}.log").open("a") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self._space(machine), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if machine == "pods" else log,
                stderr=log,
                cwd=self._folder,
                text=True,
                # All of a machine's processes end together, whatever they fork.
                start_new_session=True,
            )
        self._running.setdefault(machine, []).append(process)
        return process

    def _start_pods(self) -> None:
        program = self._spawn("pods", sys.executable, str(_PODS), str(_POD_PORT))
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline(), self.log("pods")
        for name, address in PODS.items():
            program.stdin.write(f"start {address} {name}\n")
            program.stdin.flush()
            assert program.stdout.readline() == "ok\n", self.log("pods")

    def start(self, name: str) -> None:
        """Start HAProxy and keepalived on a balancer."""
        self._ip("lan", f"link set to-{name} up")
        self.start_haproxy(name)
        settings = self._folder / "keepalived.conf"
        settings.write_text(_filled_in((_ROOT / "deploy/haproxy/keepalived.conf").read_text()))
        run = str(self._folder / f"{name}.pid")
        self._spawn(
            name,
            *("keepalived", "--dont-fork", "--log-console", "--log-detail", "--no-syslog"),
            *("--config-id", name, "--use-file", str(settings), "--vrrp"),
            *("--pid", run, "--vrrp_pid", f"{run}.vrrp"),
        )

    def start_haproxy(self, name: str) -> None:
        """Start HAProxy alone."""
        workers = [f"{address}:{_POD_PORT}" for address in PODS.values()]
        haproxy_places.write(
            haproxy_places.machines(workers, cluster_id="shop", user="haproxy"), self._folder / name
        )
        self._spawn(name, "haproxy", "-W", "-db", "-f", str(self._folder / name / "haproxy.cfg"))

    def kill_haproxy(self, name: str) -> None:
        """Kill HAProxy, master and worker, as if it had crashed."""
        process = self._running[name].pop(0)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill(self, name: str) -> None:
        """A machine dies: its processes are gone, and so is its link."""
        if name in BALANCERS:
            self._ip("lan", f"link set to-{name} down")
        for process in self._running.pop(name):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if name in BALANCERS:
            self._ip(name, f"address flush dev net0 to {SHARED}/32")

    def unplug(self, name: str) -> None:
        """Cut a balancer off from the network; it goes on."""
        self._ip("lan", f"link set to-{name} down")

    def plug(self, name: str) -> None:
        """Connect it again."""
        self._ip("lan", f"link set to-{name} up")

    def holders(self) -> set[str]:
        """Return who has the shared address now."""
        return {name for name in BALANCERS if SHARED in self._ip(name, "address show dev net0")}

    def log(self, name: str) -> str:
        """Return what a machine's processes wrote."""
        return (self._folder / f"{name}.log").read_text()

    def as_client(self, work: Callable[[], _Value]) -> _Value:
        """Return what ``work`` returns on the client's machine."""
        done: list[_Value] = []

        def there() -> None:
            with Path(f"/run/netns/{self._space('client')}").open() as space:
                libc = ctypes.CDLL(None, use_errno=True)
                # Of this thread alone; it ends with the work.
                assert libc.setns(space.fileno(), _CLONE_NEWNET) == 0, ctypes.get_errno()
            done.append(work())

        thread = threading.Thread(target=there)
        thread.start()
        thread.join()
        assert done, "the client's work failed; see above"
        return done[0]

    def answered_after_s(self, *, within_s: float = 60.0) -> float:
        """Ask the shared address until it answers; return how long that took."""
        return self.as_client(lambda: _until_answered(within_s))


def _until_answered(within_s: float) -> float:
    began = time.monotonic()
    while True:
        try:
            place("any")
        except OSError:
            waited_s = time.monotonic() - began
            assert waited_s < within_s, f"no answer within {within_s:.0f} s"
            time.sleep(0.02)
        else:
            return time.monotonic() - began


def place(session: str) -> str:
    """Ask the shared address for a session; return the pod that answered. Raises ``OSError``."""
    client = http.client.HTTPConnection(SHARED, haproxy_places.PUBLIC_PORT, timeout=0.5)
    try:
        client.request("GET", f"/v1/sessions/{session}")
        answer = client.getresponse()
        body = answer.read().decode()
    except http.client.HTTPException as error:
        raise OSError("cut off") from error
    finally:
        client.close()
    if answer.status != 200:
        raise OSError(body)
    return body


def _filled_in(text: str) -> str:
    own = {
        "INTERFACE": "net0",
        "FIRST": BALANCERS["first"],
        "SECOND": BALANCERS["second"],
        "SHARED": f"{SHARED}/24",
    }
    for name, value in own.items():
        text, found = re.subn(rf"^\${name}=.*$", f"${name}={value}", text, flags=re.M)
        assert found == 1
    return text


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout
