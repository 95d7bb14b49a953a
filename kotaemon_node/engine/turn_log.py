"""What the log of turns on the bus says of a turn; without the texts, unless they are wanted."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from kotaemon_node.domain.events import TURN_LOG, TURN_LOG_SCHEMA, TurnLogged
from kotaemon_node.domain.session import Turn, TurnKey
from kotaemon_node.engine.sealed_text import sealed_text
from kotaemon_node.ports.cipher import FieldCipher, SealedPlace
from kotaemon_node.ports.events import Message

TEXTS: Final = ("message", "answer")


class TurnLog:
    """Makes the messages of ``turn_log``."""

    def __init__(self, *, texts: bool, cipher: FieldCipher) -> None:
        """``texts``: message and answer are told, too, as ``cipher`` seals them."""
        self._texts = texts
        self._cipher = cipher

    def message(self, key: TurnKey, *, epoch: str, turn: Turn) -> Message:
        """Return the log's entry of a finished turn; a repeat differs in its seals alone.

        Raises ``StoreUnavailable`` where the texts cannot be sealed now.
        """
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
        for name in TEXTS:
            text = fields.pop(name)
            if self._texts:
                place = text_place(fields, name)
                fields[name] = text and sealed_text(self._cipher, text, place)
        return Message(TURN_LOG, session.session_id, json.dumps(fields).encode())


def text_place(fields: Mapping[str, Any], name: str) -> SealedPlace:
    """Return where a text of an entry was sealed; raises ``LookupError``."""
    return SealedPlace(
        fields["tenant"],
        f"turn_log {name}",
        session=fields["session_id"],
        turn=fields["turn_id"],
    )
