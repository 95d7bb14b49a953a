"""Real HAProxies on the configuration that the chart renders, before pods that are found by name.

The text is Helm's, but for what one machine has only once: ports, and the system's name server. A
pod has a loopback address of its own, and another one after each replacement.
"""

import http.client
import itertools
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

import requests

from kotaemon_node.local import haproxy, haproxy_places
from tests.balanced_pods import wait_until
from tests.redis_server import free_port

_PROGRAM = Path(__file__).parent / "fakes" / "named_pods.py"
_DOMAIN = "{name}.shop-kotaemon-worker.prod.svc.cluster.local"


class NoPod(Exception):
    """A balancer found no pod to send a request to."""


class Balancer:
    """One HAProxy, as a container runs it: master and worker."""

    def __init__(self, folder: Path, text: str) -> None:
        self.port, self.watching_port = free_port(), free_port()
        self._file = folder / "haproxy.cfg"
        folder.mkdir()
        for name, script in haproxy.scripts().items():
            (folder / name).write_text(script)
        self._write(text)
        self.log = folder / "haproxy.log"
        self._watching = f"http://127.0.0.1:{self.watching_port}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["haproxy", "-W", "-db", "-f", str(self._file)], stdout=log, stderr=log
            )

    @property
    def url(self) -> str:
        """Where clients come."""
        return f"http://127.0.0.1:{self.port}"

    def status(self, path: str) -> int:
        """Return what the port for its watchers answers; 0: nothing."""
        try:
            return requests.get(self._watching + path, timeout=10).status_code
        except requests.ConnectionError:
            return 0

    def used(self) -> set[str]:
        """Return the pods that it sends requests to, as its own metrics tell."""
        try:
            shown = requests.get(f"{self._watching}/metrics", timeout=10).text
        except requests.ConnectionError:
            return set()

        def servers(metric: str, state: str) -> set[str]:
            labels = rf'proxy="workers",server="([^"]+)",state="{state}"'
            return set(re.findall(rf"^{metric}{{{labels}}} 1$", shown, re.M))

        passed = servers("haproxy_server_check_status", "L7OK")
        return servers("haproxy_server_status", "UP") & passed

    def places(self, sessions: Iterable[str]) -> dict[str, str]:
        """Return the pod that each session is sent to; one request after the other.

        Raises ``NoPod`` where the balancer uses none at the moment.
        """
        found = {}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as client:
            for session in sessions:
                client.request("GET", f"/v1/sessions/{session}")
                answer = client.getresponse()
                body = answer.read().decode()
                if answer.status == 503:
                    raise NoPod(f"{session}: {body}")
                assert answer.status == 200, (session, answer.status, body)
                # The pod's own word, beside HAProxy's: is it the slot's pod that answers there?
                assert body == answer.headers["X-Served-By"]
                found[session] = body
        return found

    def _write(self, text: str) -> None:
        text = text.replace("bind :8080", f"bind 127.0.0.1:{self.port}")
        text = text.replace("bind :8405", f"bind 127.0.0.1:{self.watching_port}")
        self._file.write_text(text)

    def reload(self, text: str) -> None:
        """Let it read a new file; returns when another process has taken over."""
        before = self._loaded()
        asked_at_s = 0.0

        def done() -> bool:
            nonlocal asked_at_s
            # HAProxy 2.6 sleeps on a signal that comes just before it waits, until the next one.
            if time.monotonic() > asked_at_s + 5.0:
                asked_at_s = time.monotonic()
                self.process.send_signal(signal.SIGUSR2)
            return self._loaded() > before

        wait_until(done, what="a new process serves")

    def _loaded(self) -> int:
        return self.log.read_text().count("Loading success.")

    def told_of_requests(self) -> list[str]:
        """Return the log lines of requests that failed or were tried again."""
        return [line for line in self.log.read_text().splitlines() if " HTTP/1.1" in line]

    def stop(self) -> None:
        """End it at once."""
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()


class NamedPods:
    """Several balancers and pods by name; a context manager that leaves nothing behind."""

    def __init__(self, folder: Path, *, workers: int, balancers: int = 2, seed: int = 1) -> None:
        self._folder = folder
        self._expected = workers
        self._count = balancers
        self._random = random.Random(seed)
        self._port = free_port()
        # Anywhere in 127/8: two runs on one machine rarely share an address.
        first = random.SystemRandom().randrange(1, 250)
        self._free = (f"127.{first}.{n // 250}.{n % 250 + 2}" for n in itertools.count())
        self.addresses: dict[str, str] = {}
        self.balancers: list[Balancer] = []

    def __enter__(self) -> Self:
        self._program = subprocess.Popen(
            [sys.executable, str(_PROGRAM), str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._names_port = int(self._answer())
            for slot in range(self._expected):
                self.start(f"worker-{slot}")
            for number in range(self._count):
                self.balancers.append(Balancer(self._folder / f"haproxy-{number}", self._text()))
            self.wait_used(self.addresses)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for balancer in self.balancers:
            balancer.stop()
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait(30)

    def _text(self) -> str:
        place = haproxy_places.kubernetes("shop-kotaemon", namespace="prod", workers=self._expected)
        own = {
            "    parse-resolv-conf\n": f"    nameserver test 127.0.0.1:{self._names_port}\n",
            f":{haproxy_places.WORKER_PORT} id": f":{self._port} id",
        }
        text = haproxy.render(place)
        for standard, here in own.items():
            assert standard in text
            text = text.replace(standard, here)
        # What the system's resolver would say at the start of the names that are expected.
        for slot in range(self._expected):
            known = f" id {slot + 1} init-addr {self.addresses[f'worker-{slot}']}\n"
            text, found = re.subn(rf" id {slot + 1}\n", known, text)
            assert found == 1
        return text

    def reload(self, balancer: Balancer) -> None:
        """Let a balancer read its file again, and ask again where the pods are."""
        balancer.reload(self._text())

    def tell(self, command: str) -> None:
        """Have one command of ``tests/fakes/named_pods.py`` done."""
        assert self._program.stdin is not None
        self._program.stdin.write(command + "\n")
        self._program.stdin.flush()
        assert self._answer() == "ok"

    def _answer(self) -> str:
        assert self._program.stdout is not None
        line = self._program.stdout.readline()
        assert line, "the program of the pods has ended"
        return line.strip()

    def publish(self, name: str) -> str:
        """Give a pod a new address under its name, as before it runs; return the address."""
        address = self.addresses[name] = next(self._free)
        self.tell(f"name {_DOMAIN.format(name='shop-kotaemon-' + name)} {address}")
        return address

    def start(self, name: str) -> None:
        """Start a pod at a new address, and tell its name."""
        address = next(self._free)
        self.tell(f"start {address} {name}")
        self.addresses[name] = address
        self.tell(f"name {_DOMAIN.format(name='shop-kotaemon-' + name)} {address}")

    def forget(self, name: str) -> None:
        """Have the name server know nothing of a pod."""
        self.tell(f"forget {_DOMAIN.format(name='shop-kotaemon-' + name)}")

    def replace(self, name: str) -> None:
        """Kill a pod and start another one under its name; at times the name is gone between."""
        self.tell(f"kill {self.addresses[name]}")
        if self._random.random() < 0.5:
            self.forget(name)
        self.start(name)

    def wait_used(self, names: Collection[str] | Mapping[str, str]) -> None:
        """Return when every balancer uses exactly these pods."""
        for number, balancer in enumerate(self.balancers):
            wait_until(
                lambda balancer=balancer: balancer.used() == set(names),  # type: ignore[misc]
                what=f"balancer {number} uses {sorted(names)}",
            )


class Asking:
    """Clients that ask for sessions, one after the other, until the block ends."""

    def __init__(self, pods: NamedPods, sessions: Sequence[str], *, clients: int) -> None:
        self._pods = pods
        self._sessions = sessions
        self._random = random.Random(5)
        self._over = threading.Event()
        self._clients = [
            threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(clients)
        ]
        self.failures: list[str] = []

    def _ask(self, number: int) -> None:
        balancer = self._pods.balancers[number % len(self._pods.balancers)]
        while not self._over.is_set():
            session = self._sessions[self._random.randrange(len(self._sessions))]
            try:
                # A connection of its own: one that is kept open and idle may be closed just when
                # it is used again, by any server, and clients know that.
                balancer.places([session])
            except (AssertionError, OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for client in self._clients:
            client.join(60)
