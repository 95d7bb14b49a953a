"""What people say of answers: kept with the session, and counted."""

from collections.abc import Callable, Mapping, Sequence

from kotaemon_node.domain.session import SessionKey, Turn, TurnKey
from kotaemon_node.engine.counting import Tallying
from kotaemon_node.ports.feedback import Feedback, FeedbackStore, Rating


class Ratings:
    """``api.services.FeedbackDesk``."""

    def __init__(
        self, kept: FeedbackStore, *, tally: Tallying, count: Callable[[Rating], None]
    ) -> None:
        self._kept = kept
        self._tally = tally
        self._count = count

    def rate(self, key: TurnKey, turn: Turn, said: Feedback) -> None:
        """See the protocol."""
        before = self._kept.put(key, said)
        if before is not None and before.rating == said.rating:
            return
        self._count(said.rating)
        self._tally.feedback(key, turn, said=said, before=before)

    def of(self, key: SessionKey, turn_ids: Sequence[str]) -> Mapping[str, Feedback]:
        """See the protocol."""
        return self._kept.of(key, turn_ids)
