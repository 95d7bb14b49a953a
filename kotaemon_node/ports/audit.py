"""What is asked of the log of acts that somebody may have to answer for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.audit_chain import Head


class AuditLog(Protocol):
    """Takes acts; thread safe."""

    def record(self, event: AuditEvent) -> None:
        """Keep an act. Returns at once and raises nothing: no request fails for its entry.

        What cannot be kept, because the log cannot be reached for too long, is counted and said in
        the process's own log.
        """
        ...


class NoAuditLog:
    """Keeps nothing: for programs that have no log, and for tests of other things."""

    def record(self, event: AuditEvent) -> None:
        """See the port."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a write."""

    outcome: Literal["kept", "behind", "torn", "full"]
    """``behind``: others wrote meanwhile, or the log is not what the caller remembers. ``torn``:
    its newest entries are not those of its head, so only another chain can go on. ``full``: nobody
    moves the oldest away."""
    head: Head | None
    """What the log has now; None: there is no log."""
    now_ms: int
    """The store's clock."""
    newest_chain: int
    """The highest number of a chain of which the store has entries; 0: of none."""


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line as the store has it, and where it says that it stands."""

    chain: int
    seq: int
    line: bytes


class AuditStore(Protocol):
    """The newest part of each tenant's log, shared by all processes.

    Any call raises ``StoreUnavailable`` where the store cannot be asked.
    """

    def append(
        self, tenant: str, lines: Sequence[bytes], *, behind: Head | None, head: Head
    ) -> Appended:
        """Append all lines or none, only if the newest entry is ``behind``; ``head`` is then it.

        ``behind`` None, or of another chain than ``head``: the lines begin the chain of ``head``,
        whose number must be higher than any that has entries. Harmless to repeat: of lines that
        are there already it says ``kept``.
        """
        ...

    def head(self, tenant: str) -> tuple[Head | None, int]:
        """Return what the log has now, and the store's time (ms)."""
        ...

    def oldest(self, tenant: str, *, behind: tuple[int, int], limit: int) -> Sequence[StoredLine]:
        """Return the next lines behind the place (chain, seq), in order."""
        ...

    def newest(
        self, tenant: str, *, before: tuple[int, int] | None, limit: int
    ) -> Sequence[StoredLine]:
        """Return the newest lines before a place, the newest first; None: before nothing."""
        ...

    def size(self, tenant: str) -> int:
        """Return how many lines are here."""
        ...

    def trim(self, tenant: str, *, through: tuple[int, int]) -> None:
        """Remove all lines up to a place; they lie elsewhere."""
        ...

    def put_back(
        self,
        tenant: str,
        rows: Sequence[StoredLine],
        *,
        behind: tuple[int, int] | None,
        head: Head | None,
    ) -> bool:
        """Put lines of a backup back behind the place ``behind``, None: the first ones.

        ``head`` comes with the last ones, and only then is there a log to go on with. False, and
        nothing is done, where one was begun meanwhile. May be repeated.
        """
        ...

    def exchange(self, name: str, value: bytes) -> bytes | None:
        """Keep ``value`` under a name of the whole cluster and return what was there; one step.

        Beside the logs: what a process has to know in order to tell what changed.
        """
        ...

    def tenants(self) -> Collection[str]:
        """Return whose logs there are."""
        ...
