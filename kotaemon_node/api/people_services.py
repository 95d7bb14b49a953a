"""What the routes are given for people: who takes sessions over, and who answers open questions."""

from collections.abc import Sequence
from typing import Protocol

from kotaemon_node.domain.handoff import By, Handoff
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.engine.draft_desk import DraftPage
from kotaemon_node.engine.drafting import FaqDraft
from kotaemon_node.ports.handoffs import HandedSession


class FaqDraftService(Protocol):
    """Questions that were not answered well; implemented by ``engine.draft_desk.FaqDraftDesk``.

    Every method raises ``StoreUnavailable``.
    """

    def page(self, tenant: str, kb: str, *, offset: int, limit: int) -> DraftPage:
        """Return those that are wanted, asked most often first, with suggestions."""
        ...

    def find(self, tenant: str, kb: str, draft_id: str) -> FaqDraft:
        """Return the draft that has a wording of this id; ``NotFound``."""
        ...

    def dismiss(self, tenant: str, kb: str, draft: FaqDraft) -> None:
        """Show it no more, until it was asked often enough again."""
        ...


class HandoffService(Protocol):
    """Hands sessions to people and back; implemented by ``engine.handing.HandoffDesk``.

    Raises what reading a session raises, and ``StoreUnavailable``.
    """

    def begin(
        self, key: SessionKey, principal: Principal, *, by: By, reason: str, trace_id: str
    ) -> Handoff:
        """Give the session to a person, and return since when one has it."""
        ...

    def end(self, key: SessionKey, principal: Principal, *, by: By, trace_id: str) -> None:
        """Give it back to the bot."""
        ...

    def say(
        self, key: TurnKey, principal: Principal, *, text: str, name: str, trace_id: str
    ) -> Turn:
        """Add what the person says as a turn; ``Conflict`` where no person has the session.

        ``TurnConflict`` where the id was used for something else.
        """
        ...

    def waiting(self, tenant: str, *, limit: int) -> Sequence[HandedSession]:
        """Return sessions that people have, those in which somebody spoke last first."""
        ...

    def forget(self, key: SessionKey) -> None:
        """Count a session that was deleted no more; never raises."""
        ...
