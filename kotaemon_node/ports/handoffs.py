"""Handing sessions to people and back: one step each, decided by the store.

The step is fenced like a write. Whoever executes a turn of the session when it begins, on whatever
pod and also one that was frozen, is refused from then on; the turn keeps what was shown, its frames
go on with ``handoff``, and it is to be ended as interrupted. So in no turn a text of a bot has a
number behind the ``handoff`` frame.

The way back is fenced, too. Whoever executes a turn then began it for the person, and would end it
without an answer that neither the person nor a bot gives any more: its frames go on with the
``handoff`` frame of the end, and it is to be executed anew. What people say is left alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kotaemon_node.domain.handoff import Handoff
from kotaemon_node.domain.session import SessionKey, TurnKey


@dataclass(frozen=True, slots=True)
class Handed:
    """What a step made. ``broken_off`` is to be ended now, ``next`` to be executed.

    Whoever is told may die: the turns are in the index of running turns, where a sweep finds them.
    """

    changed: bool
    """False: it was so already."""
    handoff: Handoff | None
    """As the session has it now."""
    broken_off: TurnKey | None
    """The turn that ran."""
    next: TurnKey | None
    """The turn at the head of the queue, where nothing runs: that which tells of the step."""
    again: bool = False
    """``next`` ran when the session came back, and tells of it; who has it is refused."""


@dataclass(frozen=True, slots=True)
class HandedSession:
    """A session that a person has, or is to take."""

    session_id: str
    handoff: Handoff
    spoken_at: float
    """When the customer or the person wrote last, in seconds since 1970."""


class Handoffs(Protocol):
    """Every method may raise ``StoreUnavailable`` and may be repeated after a lost reply."""

    def begin(
        self, key: SessionKey, handoff: Handoff, *, epoch: str, event_id: str, trace_id: str
    ) -> Handed:
        """Give the session to a person. Raises ``Gone`` where ``epoch`` is not the session's.

        Where no bot's turn runs that could tell of it, a turn ``event_id`` does: the next one.
        """
        ...

    def end(
        self,
        key: SessionKey,
        frame: Mapping[str, Any],
        *,
        epoch: str,
        event_id: str,
        trace_id: str,
    ) -> Handed:
        """Give it back; the turn ``event_id`` tells of it, before those that wait.

        Where a turn runs that a bot is to answer now, that one tells.
        """
        ...

    def note(self, key: SessionKey, at: float | None) -> None:
        """Have the session counted as with a person, who or whose customer spoke ``at``; or not.

        Who says nothing for ``HANDOFF_NOTED_S`` is counted no more.
        """
        ...

    def waiting(self, tenant: str, *, limit: int) -> Sequence[HandedSession]:
        """Return sessions of ``tenant`` that people have, those in which somebody spoke last first.

        Looked for among the ``HANDOFFS_LOOKED_AT`` of the cluster in which somebody spoke last.
        """
        ...

    def count(self) -> int:
        """Return how many sessions of the cluster are with a person."""
        ...
