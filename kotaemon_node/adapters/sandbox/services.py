"""What a plugin's process may ask the pod for while a call runs: connections, and kept values."""

import errno
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import structlog

from kotaemon_node.adapters.sandbox.hiding import Hiding
from kotaemon_node.adapters.sandbox.line import Ended, Line, Nonsense
from kotaemon_node.adapters.sandbox.network import Network, Refused
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.plugin_manifest import Manifest
from kotaemon_node.ports.plugin_storage import PluginName, PluginStorage, PluginStorageFull
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.tools import Caller

_log = structlog.get_logger(__name__)


class _Denied(Exception):
    """A value that is refused: the kind of error in the plugin, and why."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why


def _check_there(line: Line) -> None:
    """Raise ``Ended`` where a process that waits for its connection has ended, or was stopped."""
    if not line.quiet:
        raise Ended("it ended while it waited for a connection")


class Services:
    """Of one plugin of one tenant. Thread safe."""

    def __init__(
        self,
        manifest: Manifest,
        *,
        tenant: str,
        storage: PluginStorage,
        network: Network,
        clock: Clock,
        tasks: Tasks,
        hide: Hiding,
    ) -> None:
        self._manifest = manifest
        self._owner = PluginName(tenant, manifest.name)
        self._storage = storage
        self._network = network
        self._clock = clock
        self._tasks = tasks
        self._hide = hide

    def serve(
        self,
        asked: Mapping[str, Any],
        *,
        caller: Caller,
        line: Line,
        left_s: float,
        watch: Callable[[], None],
        reach: Callable[[], None],
    ) -> None:
        """Answer one request.

        ``watch`` is called every tick, and what it raises is raised; ``reach`` right before
        something outside may change. Raises ``Nonsense`` for what is no request, and ``Ended``.
        """
        if "connect" in asked:
            self._connect(asked, line, left_s, watch, reach)
        elif "storage" in asked:
            if asked["storage"] != "get":
                reach()
            line.send(self._watched(lambda: self._kept(asked, caller), watch), watch)
        else:
            raise Nonsense("it asks for nothing that there is")

    def _watched(
        self, work: Callable[[], dict[str, Any]], watch: Callable[[], None]
    ) -> dict[str, Any]:
        """Return what ``work`` does beside us: a store that is slow must not stop our looks."""
        done = threading.Event()
        answers: list[dict[str, Any]] = []

        def run() -> None:
            try:
                answers.append(work())
            finally:
                done.set()

        self._tasks.spawn("plugin-storage", run)
        while not self._clock.wait(done, limits.PLUGIN_TICK_S):
            watch()
        if not answers:  # what escaped there is in the log
            return {"refused": "away", "why": "the store failed"}
        return answers[0]

    def _connect(
        self,
        asked: Mapping[str, Any],
        line: Line,
        left_s: float,
        watch: Callable[[], None],
        reach: Callable[[], None],
    ) -> None:
        host, port, wanted_s = asked["connect"], asked.get("port"), asked.get("timeout_s")
        if not isinstance(host, str) or not isinstance(port, int):
            raise Nonsense("it asks for a connection to nowhere")
        if not isinstance(wanted_s, int | float) or not math.isfinite(wanted_s):
            raise Nonsense("it waits for no time")

        def check() -> None:
            _check_there(line)
            watch()

        try:
            wait_s = min(max(0.0, wanted_s), left_s)
            opened = self._network.connect(host, port, wait_s, check=check)
        except Refused as refused:
            if refused.number == errno.EACCES:
                why = self._hide(refused.why)
                _log.warning("plugin_connection_refused", plugin=self._owner.plugin, why=why)
            line.send({"errno": refused.number, "why": refused.why}, watch)
            return
        with opened:
            reach()
            line.send({"connected": True}, watch, descriptor=opened.fileno())

    def _kept(self, asked: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        try:
            return self._carried_out(asked, caller)
        except _Denied as denied:
            return {"refused": denied.kind, "why": denied.why}
        except PluginStorageFull as full:
            return {"refused": "invalid", "why": str(full)}
        except StoreUnavailable as error:
            return {"refused": "away", "why": f"the store is away: {error}"}

    def _carried_out(self, asked: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        key = asked.get("key")
        if not isinstance(key, str):
            raise _Denied("invalid", "a key is a text")
        match asked["storage"]:
            case "get":
                return self._get(key, caller)
            case "set":
                self._set(key, asked.get("value"), asked.get("ttl_s"))
            case "delete":
                self._check(key)
                self._storage.delete(self._owner, key)
            case _:
                raise _Denied("invalid", "there is get, set and delete")
        return {}

    def _get(self, key: str, caller: Caller) -> dict[str, Any]:
        kind, _, session = key.partition(":")
        if kind in {"user_id", "context"} and session:
            if session != caller.session_id:
                why = f"{kind} may be read of the session of the running call only"
                raise _Denied("denied", why)
            value: Any = caller.user_id if kind == "user_id" else dict(caller.context)
            return {"found": value is not None, "value": value}
        self._check(key)
        text = self._storage.get(self._owner, key)
        return {"found": False} if text is None else {"found": True, "value": orjson.loads(text)}

    def _set(self, key: str, value: Any, ttl_s: Any) -> None:
        self._check(key)
        text = orjson.dumps(value)
        if len(text) > limits.PLUGIN_VALUE_BYTES_MAX:
            raise _Denied("invalid", f"a value has at most {limits.PLUGIN_VALUE_BYTES_MAX} bytes")
        if ttl_s is None:
            ttl_s = limits.PLUGIN_VALUE_TTL_S
        if isinstance(ttl_s, bool) or not isinstance(ttl_s, int | float) or not ttl_s > 0:
            raise _Denied("invalid", "ttl_s is a number of seconds")
        kept_s = min(float(ttl_s), limits.PLUGIN_VALUE_TTL_S)
        self._storage.set(self._owner, key, text.decode(), ttl_s=kept_s)

    def _check(self, key: str) -> None:
        if not self._manifest.may_keep(key):
            why = f"{key!r:.130} is not among the storage keys of its manifest"
            raise _Denied("denied", why)
