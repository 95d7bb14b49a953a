"""The plugins of this pod: brought, one version beside the other, to what is wanted of all pods.

Laws. A version is offered only after it started. One that does not start leaves the one before in
use. What a turn was offered may be called until the turn ends, whatever replaced it meanwhile.
Each plugin is brought along by itself, so that one that hangs holds up no other.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from kotaemon_node.domain import acting_limits as bounds
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.plugin_releases import PluginRow, Release, gets_next
from kotaemon_node.engine.plugin_retiring import Lent, Retiring
from kotaemon_node.ports.plugin_registry import (
    Desired,
    LoadedPlugin,
    PluginLoader,
    PluginRefused,
    PluginRegistry,
    Wanted,
)
from kotaemon_node.ports.plugins import Plugin
from kotaemon_node.ports.runtime import Clock, Tasks

_log = structlog.get_logger(__name__)

_STALE: Final = -1  # no revision: look at the rows again


_Key = tuple[str, int, str]
"""Release, reload and secrets by which a version was started."""
_Keys = tuple[_Key | None, _Key | None]
"""Of the stable version and of the next."""


@dataclass(frozen=True, slots=True)
class _Version:
    """A version that runs here."""

    key: _Key
    loaded: LoadedPlugin
    lent: Lent


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a version did not start, and when it is tried again."""

    reason: str
    tries: int
    again_s: float


@dataclass(slots=True)
class _Place:
    """One plugin in this pod. ``row`` is what is wanted; the rest what there is."""

    row: PluginRow | None = None
    stable: _Version | None = None
    next: _Version | None = None
    busy: bool = False
    looked: bool = False
    """Whether what is wanted was tried at least once."""
    failures: Mapping[_Key, _Failure] = field(default_factory=dict)
    # Replaced, never changed: others read it meanwhile.
    settled: _Keys | None = None
    """What was wanted when it was last tried."""


class PluginFleet:
    """``ports.plugins.Plugins``: those that one tenant wants, for whose sessions it says."""

    def __init__(
        self,
        registry: PluginRegistry,
        loader: PluginLoader,
        *,
        tenant: str,
        tasks: Tasks,
        clock: Clock,
        count: Callable[[str], None] = lambda outcome: None,
        show: Callable[[int], None] = lambda unloaded: None,
    ) -> None:
        """``count`` is told each start, ``loaded`` or ``refused``; ``show`` how many lack one."""
        self._registry = registry
        self._loader = loader
        self._tenant = tenant
        self._tasks = tasks
        self._clock = clock
        self._count = count
        self._show = show
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._seen = _STALE
        self._retiring = Retiring(clock)
        self._revision = 0
        self._began_s = clock.monotonic_s()
        self._read = False
        self._ended = False
        self._complaint = ""
        self._woken = threading.Event()

    def offered(self, tenant: str, session_id: str) -> Sequence[Plugin]:
        """See the port."""
        found: list[Plugin] = []
        with self._lock:
            for name in sorted(self._places):
                place = self._places[name]
                row, version = place.row, place.stable
                if row is None or not row.enabled or not row.is_for(tenant):
                    continue
                if place.next is not None and gets_next(row, tenant, session_id):
                    version = place.next
                if version is not None:
                    found.append(version.lent)
        return found

    @property
    def revision(self) -> int:
        """See the port."""
        return self._revision

    @property
    def starting(self) -> bool:
        """True until all that was wanted at the start was tried once, for a bounded time."""
        if self._clock.monotonic_s() - self._began_s > bounds.PLUGIN_STARTING_S_MAX:
            return False
        with self._lock:
            return not self._read or not all(it.looked for it in self._places.values())

    def wake(self) -> None:
        """Look at what is wanted now, not at the next regular look."""
        self._woken.set()

    def run(self) -> None:
        """Look again and again, until ``end``."""
        while not self._ended:
            try:
                self.look()
                self._complaint = ""
            except NodeError as error:
                if str(error) != self._complaint:
                    _log.warning("plugins_unknown", error=str(error))
                self._complaint = str(error)
            except Exception:  # noqa: BLE001 - a pod that looks no more is behind for ever
                _log.exception("plugins_look_broken")
            self._clock.wait(self._woken, bounds.PLUGIN_LOOK_S)
            self._woken.clear()

    def look(self) -> None:
        """Read what is wanted, where it changed, and begin to bring it about.

        Raises ``StoreUnavailable``; then all stays as it is.
        """
        self._retiring.sweep()
        if self._registry.revision(self._tenant) != self._seen:
            self._take(self._registry.read(self._tenant))
        for name in list(self._places):
            self._begin(name)
        self._show(sum(1 for problem in self._problems().values() if problem))

    def _take(self, desired: Desired) -> None:
        with self._lock:
            for name in self._places.keys() | desired.rows.keys():
                self._places.setdefault(name, _Place()).row = desired.rows.get(name)
            self._seen = desired.revision
            self._read = True
            self._revision += 1  # shares and switches change what is offered, too

    def _begin(self, name: str) -> None:
        """Settle a plugin beside us where there is something to do."""
        with self._lock:
            place = self._places[name]
            if place.busy or self._ended:
                return
        if not self._due(place):
            return
        with self._lock:
            if place.busy:
                return
            place.busy = True
        self._tasks.spawn(f"plugin {name}", lambda: self._settle(name, place))

    def _due(self, place: _Place) -> bool:
        keys = self._keys(place.row)
        if keys != place.settled or not place.looked:
            return True
        now_s = self._clock.monotonic_s()
        return any(it.again_s <= now_s for key, it in place.failures.items() if key in keys)

    def _keys(self, row: PluginRow | None) -> _Keys:
        if row is None or not row.enabled:
            return None, None
        return self._key(row, row.stable), self._key(row, row.next)

    def _key(self, row: PluginRow, release: Release | None) -> _Key | None:
        if release is None:
            return None
        mark = self._loader.mark(Wanted(row.name, release, row.reloads))
        return release.version, row.reloads, mark

    def _settle(self, name: str, place: _Place) -> None:
        """Bring one plugin to what is wanted of it, until that does not change meanwhile."""
        try:
            while not self._ended:
                row = place.row
                keys = self._keys(row)
                place.failures = {key: it for key, it in place.failures.items() if key in keys}
                self._bring(name, place, row, keys)
                place.settled, place.looked = keys, True
                if row is place.row:
                    break
        except Exception:  # noqa: BLE001 - it must be tried again, and others must go on
            _log.exception("plugin_broken", plugin=name)
        finally:
            with self._lock:
                place.busy, place.looked = False, True
                if place.row is None and place.stable is None and place.next is None:
                    self._places.pop(name, None)
            if self._ended:
                self.end()

    def _bring(
        self,
        name: str,
        place: _Place,
        row: PluginRow | None,
        keys: _Keys,
    ) -> None:
        have = {it.key: it for it in (place.stable, place.next) if it is not None}
        stable = following = None
        if row is not None and row.enabled:
            stable = self._version(place, row, row.stable, keys[0], have)
            if stable is None and row.stable is not None:
                stable = place.stable or self._before(place, row)
            # Promoted before this pod had it: what sessions got stays until the new one runs.
            following = self._version(place, row, row.next, keys[1], have)
            if following is None and row.next is not None:
                following = place.next
        with self._lock:
            place.stable, place.next = stable, following
            self._revision += 1
        kept = {it.key for it in (stable, following) if it is not None}
        for version in have.values():
            if version.key not in kept:
                self._retiring.add(name, version.lent, version.loaded)

    def _version(
        self,
        place: _Place,
        row: PluginRow,
        release: Release | None,
        key: _Key | None,
        have: Mapping[_Key, _Version],
    ) -> _Version | None:
        """Return the version of this key, started where it does not run yet; None: it cannot."""
        if release is None or key is None:
            return None
        if key in have:
            return have[key]
        failure = place.failures.get(key)
        if failure is not None and self._clock.monotonic_s() < failure.again_s:
            return None
        try:
            loaded = self._loader.load(Wanted(row.name, release, row.reloads))
        except PluginRefused as error:
            self._failed(place, row.name, key, str(error))
            return None
        except Exception as error:  # noqa: BLE001 - else it would be tried again with each look
            _log.exception("plugin_broken", plugin=row.name)
            # Not the message of the error: it may hold anything, and anybody may see ours.
            self._failed(place, row.name, key, f"it cannot be started: {type(error).__name__}")
            return None
        place.failures = {it: why for it, why in place.failures.items() if it != key}
        self._count("loaded")
        _log.info("plugin_loaded", plugin=row.name, version=key[0])
        return _Version((release.version, row.reloads, loaded.mark), loaded, Lent(loaded))

    def _failed(self, place: _Place, name: str, key: _Key, why: str) -> None:
        """Note why a version did not start; it is tried again after a while, ever more rarely."""
        before = place.failures.get(key)
        tries = before.tries + 1 if before else 1
        # The exponent is bounded: what fails for days must not make it a number for astronomers.
        pause_s = min(bounds.PLUGIN_AGAIN_S * 2 ** min(tries - 1, 16), bounds.PLUGIN_AGAIN_S_MAX)
        reason = why[: bounds.PLUGIN_PROBLEM_CHARS_MAX]
        failure = _Failure(reason, tries, self._clock.monotonic_s() + pause_s)
        place.failures = {**place.failures, key: failure}
        self._count("refused")
        _log.warning("plugin_refused", plugin=name, version=key[0], reason=reason)

    def _before(self, place: _Place, row: PluginRow) -> _Version | None:
        """Return the version before, for a pod that never had it: it began after the change."""
        key = self._key(row, row.previous)
        return None if key is None else self._version(place, row, row.previous, key, {})

    def end(self) -> None:
        """Offer nothing any more and end all versions once their running calls have ended."""
        with self._lock:
            self._ended = True
            versions = [
                it.loaded
                for place in self._places.values()
                for it in (place.stable, place.next)
                if it is not None
            ]
            self._places = {name: it for name, it in self._places.items() if it.busy}
            for place in self._places.values():
                place.stable = place.next = None
        self._woken.set()
        self._retiring.end()
        for version in versions:
            version.retire()

    def _problems(self) -> Mapping[str, str]:
        """Return why what is wanted of each plugin is not in use here; "" where it is."""
        with self._lock:
            return {
                name: next((it.reason for it in place.failures.values()), "")
                for name, place in self._places.items()
            }

    def report(self) -> Mapping[str, Any]:
        """Return what this pod has of each plugin, for its heartbeat. Must not block."""
        problems = self._problems()
        told: dict[str, Any] = {}
        with self._lock:
            for name, place in self._places.items():
                row = place.row
                if row is None:
                    continue
                shown: dict[str, Any] = {"version": place.stable.key[0] if place.stable else None}
                if place.next is not None or row.next is not None:
                    shown["next"] = place.next.key[0] if place.next else None
                if not row.enabled:
                    shown["enabled"] = False
                if problem := problems.get(name):
                    shown["problem"] = problem
                told[name] = shown
        return told
