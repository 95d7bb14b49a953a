"""Connects for plugins: to the hosts of their manifests, at an address that was looked at."""

import errno
import os
import socket
import threading
from typing import Any

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.addresses import problem_of_address
from kotaemon_node.domain.plugin_manifest import HostRule, Manifest
from kotaemon_node.ports.runtime import Clock, Tasks


class Refused(Exception):
    """There is no connection: the number of the error, and why."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(why)
        self.number = number
        self.why = why


class Network:
    """Connections of one plugin. Thread safe."""

    def __init__(self, manifest: Manifest, *, clock: Clock, tasks: Tasks) -> None:
        self._manifest = manifest
        self._clock = clock
        self._tasks = tasks

    def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """Return a connection to a declared host. Raises ``Refused``.

        The name is resolved once, and what was looked at is what is connected to.
        """
        rule = self._manifest.rule_for(host, port)
        if rule is None:
            why = f"{host:.253}:{port} is not among the hosts of its manifest"
            raise Refused(errno.EACCES, why)
        until_s = self._clock.monotonic_s() + min(timeout_s, limits.PLUGIN_CONNECT_S_MAX)
        last = Refused(errno.EHOSTUNREACH, f"{host} has no address")
        for family, address in self._resolved(rule, until_s):
            problem = problem_of_address(address[0], private=rule.private)
            if problem:
                last = Refused(errno.EACCES, f"{host}: {address[0]} {problem}")
                continue
            try:
                return self._opened(family, address, until_s)
            except OSError as error:
                number = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno
                last = Refused(number or errno.EIO, f"{host}:{port}: {error.strerror or error}")
        raise last

    def _opened(self, family: int, address: Any, until_s: float) -> socket.socket:
        left_s = until_s - self._clock.monotonic_s()
        if left_s <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.settimeout(left_s)
            opened.connect(address)
            # What the plugin gets waits as its own sockets do: by its own settings.
            os.set_blocking(opened.fileno(), True)
        except OSError:
            opened.close()
            raise
        return opened

    def _resolved(self, rule: HostRule, until_s: float) -> list[tuple[int, Any]]:
        """Return (family, address) of a name, by a task of its own: a resolver may take minutes."""
        found: list[tuple[int, Any]] = []
        problems: list[OSError] = []
        done = threading.Event()

        def resolve() -> None:
            try:
                told = socket.getaddrinfo(rule.name, rule.port, type=socket.SOCK_STREAM)
                found.extend((it[0], it[4]) for it in told)
            except (OSError, UnicodeError) as error:
                problems.append(error if isinstance(error, OSError) else OSError(str(error)))
            finally:
                done.set()

        self._tasks.spawn("plugin-resolver", resolve)
        if not self._clock.wait(done, max(0.0, until_s - self._clock.monotonic_s())):
            raise Refused(errno.ETIMEDOUT, f"{rule.name} could not be resolved in time")
        if problems:
            why = f"{rule.name} cannot be resolved: {problems[0].strerror or problems[0]}"
            raise Refused(errno.EHOSTUNREACH, why)
        return found
