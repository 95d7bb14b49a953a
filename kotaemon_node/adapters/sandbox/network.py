"""Connects for plugins: to the hosts of their manifests, at an address that was looked at."""

import _socket
import errno
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.addresses import problem_of_address
from kotaemon_node.domain.plugin_manifest import HostRule, Manifest
from kotaemon_node.ports.runtime import Clock, Tasks

Resolve = Callable[[str, int], Any]
"""Returns the addresses of a name and port as ``socket.getaddrinfo``; may take minutes."""


def _addresses(name: str, port: int) -> Any:
    return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)


class Resolver:
    """Resolves on threads that only plugins' names occupy, whatever gevent has made of ours."""

    def __init__(self, compute: Callable[..., Any]) -> None:
        """``compute`` as that of ``ports.runtime.Tasks``, of a pool of its own."""
        self._compute = compute

    def __call__(self, name: str, port: int) -> Any:
        """See ``Resolve``."""
        return self._compute(_socket.getaddrinfo, name, port, 0, socket.SOCK_STREAM)


class Refused(Exception):
    """There is no connection: the number of the error, and why."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(why)
        self.number = number
        self.why = why


class Network:
    """Connections of one plugin. Thread safe."""

    def __init__(
        self, manifest: Manifest, *, clock: Clock, tasks: Tasks, resolve: Resolve | None = None
    ) -> None:
        self._resolve = resolve or _addresses
        self._resolving = 0
        self._lock = threading.Lock()
        self._manifest = manifest
        self._clock = clock
        self._tasks = tasks

    def connect(
        self, host: str, port: int, timeout_s: float, *, check: Callable[[], None]
    ) -> socket.socket:
        """Return a connection to a declared host. Raises ``Refused``.

        ``check`` is called often; what it raises breaks the wait off, and is raised.
        """
        rule = self._manifest.rule_for(host, port)
        if rule is None:
            why = f"{host:.253}:{port} is not among the hosts of its manifest"
            raise Refused(errno.EACCES, why)
        until_s = self._clock.monotonic_s() + min(timeout_s, limits.PLUGIN_CONNECT_S_MAX)
        # In a task of its own: a resolver may take minutes, and nothing wakes it.
        attempt = _Attempt(rule, until_s, self._clock, self._resolved)
        self._tasks.spawn("plugin-connect", attempt.make)
        try:
            self._await(attempt, until_s, check)
        except BaseException:
            attempt.give_up()
            raise
        return attempt.opened()

    def _resolved(self, rule: HostRule) -> Any:
        """Resolve a name. Raises ``Refused`` where others still wait for theirs, and ``OSError``.

        A resolver that does not answer keeps its thread long after the plugin gave up.
        """
        with self._lock:
            if self._resolving >= limits.PLUGIN_RESOLUTIONS_MAX:
                raise Refused(errno.EAGAIN, f"{rule.name}: other names are still being resolved")
            self._resolving += 1
        try:
            return self._resolve(rule.name, rule.port)
        finally:
            with self._lock:
                self._resolving -= 1

    def _await(self, attempt: "_Attempt", until_s: float, check: Callable[[], None]) -> None:
        while not self._clock.wait(attempt.done, limits.PLUGIN_TICK_S):
            check()
            if self._clock.monotonic_s() > until_s:
                raise Refused(errno.ETIMEDOUT, "it could not be reached in time")


class _Attempt:
    """One connection that is being made, and perhaps not wanted any more when it is."""

    def __init__(
        self, rule: HostRule, until_s: float, clock: Clock, resolve: Callable[[HostRule], Any]
    ) -> None:
        self.done = threading.Event()
        self._resolve = resolve
        self._rule = rule
        self._until_s = until_s
        self._clock = clock
        self._lock = threading.Lock()
        self._wanted = True
        self._outcome: socket.socket | Refused | None = None

    def make(self) -> None:
        """Connect, for whoever waits for ``done``."""
        try:
            outcome: socket.socket | Refused = self._connected()
        except Refused as refused:
            outcome = refused
        except (OSError, UnicodeError) as error:  # the resolver's
            why = getattr(error, "strerror", None) or error
            outcome = Refused(errno.EHOSTUNREACH, f"{self._rule.name} cannot be resolved: {why}")
        with self._lock:
            self._outcome = outcome
            if not self._wanted and isinstance(outcome, socket.socket):
                outcome.close()
        self.done.set()

    def give_up(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._wanted = False
            if isinstance(self._outcome, socket.socket):
                self._outcome.close()

    def opened(self) -> socket.socket:
        """Return what was made. Raises ``Refused``."""
        if isinstance(self._outcome, socket.socket):
            return self._outcome
        raise self._outcome or Refused(errno.EIO, f"{self._rule.name} could not be reached")

    def _connected(self) -> socket.socket:
        """Resolve the name once, look at each address, and connect to the very same."""
        rule = self._rule
        last = Refused(errno.EHOSTUNREACH, f"{rule.name} has no address")
        told = self._resolve(rule)
        for family, _, _, _, address in told:
            problem = problem_of_address(str(address[0]), private=rule.private)
            if problem:
                last = Refused(errno.EACCES, f"{rule.name}: {address[0]} {problem}")
                continue
            try:
                return self._opened(family, address)
            except OSError as error:
                number = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno
                why = f"{rule.name}:{rule.port}: {error.strerror or error}"
                last = Refused(number or errno.EIO, why)
        raise last

    def _opened(self, family: int, address: Any) -> socket.socket:
        left_s = self._until_s - self._clock.monotonic_s()
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
