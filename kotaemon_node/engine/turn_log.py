"""What the log of turns on the bus says of a turn; without the texts, unless they are wanted."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

from kotaemon_node.domain.events import TURN_LOG, TURN_LOG_SCHEMA, TurnLogged
from kotaemon_node.domain.session import Turn, TurnKey
from kotaemon_node.ports.events import Message

_TEXTS = ("message", "answer")


class TurnLog:
    """Makes the messages of ``turn_log``."""

    def __init__(self, *, texts: bool) -> None:
        """``texts``: message and answer are told, too."""
        self._texts = texts

    def message(self, key: TurnKey, *, epoch: str, turn: Turn) -> Message:
        """Return the log's entry of a finished turn; the same for a repeat."""
        session = key.session
        fields = asdict(
            TurnLogged(
                schema=TURN_LOG_SCHEMA,
                event_id=f"{session.tenant}:{session.session_id}:{epoch}:{key.turn_id}",
                tenant=session.tenant,
                session_id=session.session_id,
                turn_id=key.turn_id,
                epoch=epoch,
                version=turn.version,
                state=turn.state.value,
                at=datetime.fromtimestamp(turn.created_at, UTC).isoformat(timespec="milliseconds"),
                timings=dict(turn.timings),
                usage=dict(turn.usage),
                generation=dict(turn.generation),
                degraded=turn.degraded,
                profile=turn.profile,
                unanswered=turn.unanswered,
                trace_id=turn.trace_id,
                pod=turn.owner or "",
                message=turn.message,
                answer=turn.answer,
            )
        )
        if not self._texts:
            for name in _TEXTS:
                del fields[name]
        return Message(TURN_LOG, session.session_id, json.dumps(fields).encode())
