"""Leads in place of the coordinator while knowledge is put back, so that nobody publishes then.

The coordinator that takes the lead again afterwards forgets what it knew and reads what lies there.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import structlog

from kotaemon_node.backup.format import BackupRefused
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.ports.knowledge import Leadership
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_TRIES_MAX: Final = 50
_PAUSE_S: Final = 0.1


class Deposing(Leadership, Protocol):
    """Leadership that can be taken from who has it."""

    def depose(self) -> str | None:
        """End the lead of whoever has it; return who had it."""
        ...


@contextmanager
def leading(leadership: Deposing, *, holder: str, clock: Clock) -> Iterator[None]:
    """Lead in the body. ``BackupRefused`` where the lead cannot be taken.

    ``Unavailable`` at its end where another led meanwhile, who may have removed, as needed by
    nobody, what was put back before its manifest.
    """
    fence = _take(leadership, holder, clock)
    stop, lost = threading.Event(), threading.Event()

    def keep() -> None:
        known = fence
        while not clock.wait(stop, limits.LEADER_TTL_S / 3):
            try:
                now = leadership.acquire(holder, ttl_s=limits.LEADER_TTL_S)
            except Unavailable as error:
                _log.warning("lead_not_renewed", reason=str(error))
                continue
            # Each who takes the lead counts one up: the next number is ours, after a renewal that
            # came too late, with nobody in between.
            if now not in (known, known + 1):
                _log.error("lead_lost")
                lost.set()
                return
            known = now

    keeper = threading.Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join(limits.LEADER_TTL_S)
        leadership.release(holder)
    if lost.is_set():
        raise Unavailable(
            "the coordinator led meanwhile, since this program stood still or Redis was away;"
            " run the same command again"
        )


def _take(leadership: Deposing, holder: str, clock: Clock) -> int:
    """Return the fence of the lead."""
    for _ in range(_TRIES_MAX):
        # One after the other: whoever asks between the two is deposed the next time.
        before = leadership.depose()
        fence = leadership.acquire(holder, ttl_s=limits.LEADER_TTL_S)
        if fence is not None:
            _log.info("lead_taken", before=before)
            return fence
        clock.sleep(_PAUSE_S)
    raise BackupRefused(
        "The coordinator does not give up the lead: stop it while knowledge is restored."
    )
