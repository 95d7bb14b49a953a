"""Audit records of turns: by what an answer came to be, found by the id of its trace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kotaemon_node.domain.session import TurnKey


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """The record of one turn, as one of its owners was about to commit it.

    ``content`` is JSON, of a bounded size. ``epoch`` and ``fence`` are those of the owner's lease:
    the record of a later owner is never replaced by that of an earlier one.
    """

    key: TurnKey
    trace_id: str
    epoch: str
    fence: int
    content: Mapping[str, Any]


class TurnRecords(Protocol):
    """Keeps records for a while; those of a deleted session are gone with it."""

    def put(self, record: TurnRecord) -> None:
        """Keep a record; the same again changes nothing. Raises ``StoreUnavailable``.

        Nothing is kept where the session has another epoch, or a later owner's record is there.
        """
        ...

    def find(self, tenant: str, trace_id: str) -> Sequence[Mapping[str, Any]]:
        """Return what was kept of a trace, the newest turn first: ids are made by clients.

        At most ``AUDIT_TURNS_MAX``; none where nothing is known. Raises ``StoreUnavailable``.
        """
        ...
