"""The store of frames: what pods write of running turns, and how others hear of it.

As of ``ports.sessions``: every method may raise ``StoreUnavailable``, and may be repeated after a
lost reply without a second effect.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kotaemon_node.domain.frames import Frame, FrameBody
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.sessions import Lease


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Frames of one turn to be stored under consecutive numbers beginning with ``first_seq``."""

    lease: Lease
    first_seq: int
    bodies: tuple[FrameBody, ...]
    journal: tuple[tuple[str, Any], ...] = ()
    """(step, JSON value) of what the executor decided before these frames, stored with them."""


@dataclass(frozen=True, slots=True)
class StoredFrames:
    """Frames after a number, in order. ``last`` is the number of the newest stored frame.

    ``kept`` is False when the frames have expired (the turn is finished, or unknown).
    """

    frames: tuple[Frame, ...]
    last: int
    kept: bool


class FrameLog(Protocol):
    """Frames of turns, durable before they are visible."""

    def append(self, batches: Sequence[FrameBatch]) -> Sequence[Exception | None]:
        """Store the batches in one round trip; one result each, in order.

        None: stored. ``Fenced``, ``Gone``, ``SequenceGap``, ``Overloaded`` (too many frames),
        ``Invalid`` (a frame that is no JSON): nothing of the batch was stored. A
        batch that was stored before by the same owner is stored (a reply was lost).
        """
        ...

    def read(self, key: TurnKey, *, after: int, limit: int, trace_id: str) -> StoredFrames:
        """Return frames with numbers above ``after``. The caller has loaded the session.

        ``trace_id`` is the turn's; it is constant and therefore not kept with the frames.
        """
        ...

    def watch(self, key: SessionKey, wake: Callable[[str, int], None]) -> Callable[[], None]:
        """Call ``wake(turn_id, seq)`` soon after frames of the session are stored by any pod.

        Calls may be lost or repeated. Returns what ends the watch.
        """
        ...

    def watch_losses(
        self, owner: str, lost: Callable[[TurnKey | None], None]
    ) -> Callable[[], None]:
        """Call ``lost`` soon after a turn was taken from ``owner``; as ``watch`` otherwise.

        None: some calls may have been lost, whichever turns they were about.
        """
        ...
