"""What the scripts that accept and end turns are given, in their order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.records import made_by, sealed_handoff, state_json
from kotaemon_node.adapters.redis.session_cache import Remembered, proof, told
from kotaemon_node.adapters.redis.session_seals import SessionSeals
from kotaemon_node.domain import limits
from kotaemon_node.domain.acting_limits import HISTORY_READ_TURNS
from kotaemon_node.domain.session import Principal
from kotaemon_node.ports.sessions import ClaimRequest, Ending, Lease

_TITLE_CHARS: Final = 80
SAID: Final = "said"
"""Option, and field of a turn: a person says it, or it tells of a handoff; scripts look at it."""


@dataclass(frozen=True, slots=True)
class SessionWrites:
    """Makes the arguments of scripts; see there."""

    ttl_s: int
    idle_s: int
    open_user: str

    def create(
        self, principal: Principal, seals: SessionSeals, *, epoch: str, fields: Mapping[str, Any]
    ) -> list[Any]:
        """Return those of ``create.lua``."""
        return [
            epoch,
            seals.key.tenant,
            principal.subject,
            fields.get("user_id") or (self.open_user if principal.role == "open" else ""),
            fields.get("channel") or "",
            seals.sealed(orjson.dumps(fields.get("context") or {}), "context"),
            self.ttl_s,
        ]

    def claim(
        self,
        request: ClaimRequest,
        seals: SessionSeals,
        *,
        subject: str,
        entered_ms: int,
        known: Remembered | None,
        callers: str,
        looked: bool,
    ) -> list[Any]:
        """Return those of ``claim.lua``.

        ``looked``: into the archive; ``callers``: see ``StoreLosses.asking``.
        """
        turn_id, session = request.key.turn_id, request.key.session
        plain = orjson.dumps(dict(request.options))
        options = seals.sealed(plain, "options", turn=turn_id)
        digests = [
            seals.cipher.digest(request.digest.encode(), session.tenant).hex()[:32],
            request.digest,
        ]
        if options == plain:
            digests.reverse()  # what nothing hides is known by the one that every program makes
        return [
            turn_id,
            digests[0],
            request.owner,
            subject,
            entered_ms,
            int(limits.CLAIM_ENTRY_AGE_MAX_S * 1000),
            int(request.create_session),
            request.new_epoch,
            request.on_busy,
            limits.QUEUED_TURNS_MAX,
            HISTORY_READ_TURNS,
            self.ttl_s,
            self.idle_s * 1000,
            seals.sealed(request.message, "message", turn=turn_id),
            options,
            request.trace_id,
            session.tenant,
            seals.sealed(request.message[:_TITLE_CHARS], "title"),
            SessionKeys.of(session).signal,
            *proof(known),
            callers,
            request.epoch,
            "1" if looked else "",
            *made_by(request, self.open_user),
            # A pod that seals nothing, or one that does, may have accepted it under the other.
            digests[1],
            "1" if request.options.get(SAID) else "",
            request.kb,
            request.generation,
        ]

    def commit(
        self,
        lease: Lease,
        ending: Ending,
        seals: SessionSeals,
        *,
        row: bytes,
        place: int,
        known: Remembered | None,
        take_next: bool,
    ) -> list[Any]:
        """Return those of ``commit.lua``; ``place``: the only version of ``row``, 0 for any."""
        turn_id, seq = lease.key.turn_id, ending.seq
        names = SessionKeys.of(lease.key.session)
        terminal = orjson.dumps(dict(ending.terminal.fields))
        summary, handoff = ending.summary, ending.handoff
        handed: Mapping[str, Any] | None = handoff.to_json() if handoff else None
        return [
            lease.epoch,
            lease.fence,
            lease.owner,
            turn_id,
            seq,
            ending.terminal.type,
            seals.sealed_frame(ending.terminal.type, terminal, turn=turn_id, seq=seq),
            row,
            orjson.dumps(dict(ending.generations)) if ending.generations else "",
            int(take_next),
            self.ttl_s,
            limits.FRAME_RETENTION_S,
            names.signal,
            names.prefix,
            HISTORY_READ_TURNS,
            *told(known),
            seals.sealed(state_json(ending.state), "state"),
            seals.sealed(summary.text, "summary") if summary else "",
            summary.to if summary else 0,
            *(sealed_handoff(handed, handoff.frame(), seals) if handoff else ("", "")),
            place or "",
        ]
