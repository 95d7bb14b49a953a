"""What the scripts of sessions refuse, as the errors of the port."""

from collections.abc import Mapping
from typing import Final

from kotaemon_node.adapters.redis.session_reads import OTHER_EPOCH
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import (
    Fenced,
    Gone,
    NodeError,
    Overloaded,
    Sealed,
    SequenceGap,
    SessionAhead,
    SessionBusy,
    SessionNotFound,
    TurnConflict,
    Unavailable,
)
from kotaemon_node.ports.sessions import ClaimRequest

CLAIM_ERRORS: Final[Mapping[str, NodeError]] = {
    "late": Unavailable("the turn was accepted too slowly; send it again"),
    "no_session": SessionNotFound("no such session"),
    "conflict": TurnConflict("this turn_id was used with another message"),
    "busy": SessionBusy("a turn of this session is running"),
    "full": Overloaded(f"{limits.QUEUED_TURNS_MAX} turns of this session wait already"),
    "gone": Gone("the session of this turn was deleted"),
    "sealed": Sealed("this turn cannot be opened any more: its key was destroyed"),
    "other_epoch": Gone(OTHER_EPOCH),
}
WRITE_ERRORS: Final[Mapping[str, type[NodeError]]] = {
    "gone": Gone,
    "fenced": Fenced,
    "gap": SequenceGap,
    "full": Overloaded,
}


def behind(request: ClaimRequest, newest: int) -> SessionAhead:
    """Return what says that the session has seen ``newest``, which its caller does not serve."""
    return SessionAhead(
        f"this pod serves generation {request.generation} of {request.kb}, and the session was "
        f"answered from {newest} already",
        generation=newest,
    )
