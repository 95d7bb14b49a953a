"""Whose knowledge one coordinator keeps: each tenant's in turn, a step at a time.

Law 1: a step of one tenant ends before the next one's begins; what it has left over waits for its
       next turn. So a tenant that brings a library delays another by a step of its.
Law 2: trouble of one tenant is that tenant's: the others' steps are taken.
Law 3: tenants are met, not made: by a folder of theirs, or by an order.
"""

import os
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from coordinator.status import StatusBoard
from kotaemon_node.domain import limits
from kotaemon_node.domain.document_names import TENANTS_FOLDER
from kotaemon_node.domain.errors import Malformed, NodeError, StoreUnavailable
from kotaemon_node.domain.ids import DEFAULT_TENANT, checked_id
from kotaemon_node.ports.jobs import JobSource
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_LOOK_S: Final = 1.0
# What the steps of tenants that have nothing to do may take of the time.
_IDLE_STEP_S: Final = 0.02


class Steps(Protocol):
    """The loop of one tenant; implemented by ``coordinator.loop.CoordinatorLoop``."""

    def guarded_step(self) -> float:
        """Do what is due; return after how many seconds the next step is."""
        ...

    def stop(self) -> None:
        """End a step that is being taken soon. Called by any thread."""
        ...

    def end(self) -> None:
        """End what goes on beside the steps."""
        ...


@dataclass(frozen=True, slots=True)
class Led:
    """A tenant's loop, what it says of itself, and who is told of changes in its folder."""

    steps: Steps
    board: StatusBoard
    hint: Callable[[Collection[str]], None]


@dataclass(slots=True)
class _Turn:
    led: Led
    due_s: float = 0.0


class Tenants:
    """Takes the steps of all tenants. ``round`` and ``run`` are for one thread."""

    def __init__(
        self,
        default: Led,
        *,
        make: Callable[[str], Led],
        folder: Path,
        orders: JobSource,
        leads: Callable[[], bool],
        show: Callable[[Mapping[str, StatusBoard]], None],
        clock: Clock,
    ) -> None:
        """``make`` composes the loop of a tenant; ``folder`` holds a folder for each.

        Only who ``leads`` meets tenants: making a loop may make a folder.
        """
        self._turns = {DEFAULT_TENANT: _Turn(default)}
        self._make = make
        self._folder = folder
        self._orders = orders
        self._leads = leads
        self._show = show
        self._clock = clock
        self._look_s = 0.0
        self._refused: dict[str, str] = {}
        """Why each of these is not led, as the log was told."""
        self._lock = threading.Lock()
        """Guards what other threads write: ``_woken`` and ``_stopped``."""
        self._woken: set[str] = set()
        self._stopped = False
        self._wake = threading.Event()

    def known(self) -> Collection[str]:
        """Return the tenants that are led. Called by any thread."""
        return list(self._turns)

    def wake(self, tenant: str = DEFAULT_TENANT) -> None:
        """Look after this tenant now. Called by any thread."""
        with self._lock:
            self._woken.add(tenant)
        self._wake.set()

    def hint(self, paths: Collection[str]) -> None:
        """Tell what changed below the knowledge folder. Called by any thread."""
        own: list[str] = []
        below: dict[str, list[str]] = {}
        for path in paths:
            first, _, rest = path.partition("/")
            if first != TENANTS_FOLDER:
                own.append(path)
            else:
                tenant, _, inside = rest.partition("/")
                below.setdefault(tenant, []).append(inside)
        if own:
            self._hinted(DEFAULT_TENANT, own)
        for tenant, told in below.items():
            self._hinted(tenant, [path for path in told if path])

    def _hinted(self, tenant: str, paths: Collection[str]) -> None:
        turn = self._turns.get(tenant)
        if turn is not None and paths:
            turn.led.hint(paths)
        self.wake(tenant)

    def stop(self) -> None:
        """End ``run`` soon, also in the middle of a build. Called by any thread."""
        with self._lock:
            self._stopped = True
            turns = list(self._turns.values())
        for turn in turns:
            turn.led.steps.stop()
        self._wake.set()

    def run(self) -> None:
        """Work until ``stop``."""
        while not self._stopped:
            self._wake.clear()
            self._wake.wait(self.round())
        for turn in self._turns.values():
            turn.led.steps.end()

    def round(self) -> float:
        """Take a step of each tenant that is due; return when the next one is, in seconds."""
        self._meet()
        for tenant, turn in list(self._turns.items()):
            with self._lock:
                if self._stopped:
                    return 0.0
                woken = tenant in self._woken
                self._woken.discard(tenant)
            if woken or self._clock.monotonic_s() >= turn.due_s:
                self._step(tenant, turn)
        others = {it: at.led.board for it, at in self._turns.items() if it != DEFAULT_TENANT}
        self._show(others)
        due_s = min(turn.due_s for turn in self._turns.values())
        return max(0.0, min(due_s - self._clock.monotonic_s(), _LOOK_S))

    def _step(self, tenant: str, turn: _Turn) -> None:
        if tenant == DEFAULT_TENANT:
            wait_s = turn.led.steps.guarded_step()
        else:
            # Every line of the log says whose step it belongs to.
            with structlog.contextvars.bound_contextvars(tenant=tenant):
                wait_s = turn.led.steps.guarded_step()
            if wait_s > 0:
                wait_s = max(wait_s, _IDLE_STEP_S * len(self._turns))
        turn.due_s = self._clock.monotonic_s() + wait_s

    def _meet(self) -> None:
        """Make loops for tenants that are new: woken by name, or looked for now and then."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            new = self._woken - self._turns.keys()
            self._woken -= new
        if not self._leads() or not (new or now_s >= self._look_s):
            return
        self._look_s = now_s + _LOOK_S
        for tenant in sorted(self._named() - self._turns.keys()):
            if self._may_be_led(tenant):
                self._lead(tenant)

    def _lead(self, tenant: str) -> None:
        try:
            led = self._make(tenant)
        except (NodeError, OSError) as error:
            _log.warning("tenant_not_met", tenant=tenant, reason=str(error), again_in_s=_LOOK_S)
            return
        except Exception:  # noqa: BLE001 - law 2
            _log.exception("tenant_not_met", tenant=tenant, again_in_s=_LOOK_S)
            return
        with self._lock:
            self._turns[tenant] = _Turn(led)
            if self._stopped:
                led.steps.stop()
        _log.info("tenant_met", tenant=tenant)

    def _named(self) -> set[str]:
        """Return the tenants that have a folder or an order, legal names or not."""
        named: set[str] = set()
        try:
            with os.scandir(self._folder) as entries:
                named = {it.name for it in entries if it.is_dir(follow_symlinks=False)}
        except FileNotFoundError:
            pass  # nobody has one yet
        except OSError as error:
            _log.warning("tenants_not_listed", reason=str(error))
        try:
            named |= set(self._orders.tenants())
        except StoreUnavailable as error:
            _log.warning("jobs_unavailable", error=str(error))
        return named

    def _may_be_led(self, tenant: str) -> bool:
        reason = self._shared(tenant)
        if len(self._turns) > limits.TENANTS_LED_MAX:
            reason = f"{limits.TENANTS_LED_MAX} tenants are led here already"
        try:
            checked_id("tenant", tenant)
        except Malformed as error:
            reason = str(error)
        if tenant == DEFAULT_TENANT:
            reason = "its documents lie in the knowledge folder itself"
        if not reason:
            self._refused.pop(tenant, None)
        elif self._refused.get(tenant) != reason:
            self._refused[tenant] = reason
            _log.error("tenant_ignored", tenant=tenant, reason=reason)
        return not reason

    def _shared(self, tenant: str) -> str:
        """Say whose folder it shares, on a volume that does not tell A from a; "": nobody's."""
        for other in self._turns:
            if other.casefold() == tenant.casefold() and other != DEFAULT_TENANT:
                with suppress(OSError):  # one of them is not there
                    if os.path.samefile(self._folder / tenant, self._folder / other):
                        return f"its folder is that of the tenant {other}, on this volume"
        return ""
