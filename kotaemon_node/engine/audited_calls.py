"""Calls that change something, and calls that were refused, told to the audit log.

An entry names the tool, the turn, the key under which the call went out, and, where somebody said
yes to it, the digest of what was proposed; never an argument, which are the user's words.
"""

import hashlib
import json
from typing import Final

from kotaemon_node.domain.audit import AuditEvent, AuditOutcome, Detail
from kotaemon_node.engine.ledger import Outcome, caller_of, ledger_key
from kotaemon_node.engine.tool_calls import DecidedCall
from kotaemon_node.ports.audit import AuditLog
from kotaemon_node.ports.sessions import Work

_ACTIONS: Final[dict[bool, tuple[str, AuditOutcome]]] = {
    True: ("tool.called", "done"),
    False: ("tool.refused", "refused"),
}


def tell_call(
    log: AuditLog,
    decided: DecidedCall,
    work: Work,
    outcome: Outcome,
    *,
    step: str,
    begun: bool,
) -> None:
    """Tell how a call ended; one that only reads, or waits for a yes, is no entry.

    ``begun`` False: it was refused, because no such tool was offered, what would carry it out
    changed since the yes, or its arguments may not be.
    """
    if outcome.proposed or (begun and decided.effects == "read"):
        return
    caller = caller_of(work)
    detail: dict[str, Detail] = {
        "session": caller.session_id,
        "turn": caller.turn_id,
        "key": ledger_key(work.lease, step),
    }
    action, how = _ACTIONS[begun]
    if begun:
        how = "done" if outcome.state == "done" else "failed"
        detail["state"] = outcome.state
    else:
        detail["reason"] = _reason(decided, outcome)
    if decided.summary:
        detail["confirmed"] = proposal_digest(decided)
    log.record(
        AuditEvent(
            action=action,
            outcome=how,
            tenant=caller.tenant,
            subject=caller.user_id or "",
            target=decided.call.name,
            trace_id=work.lease.trace_id,
            detail=detail,
        )
    )


def proposal_digest(decided: DecidedCall) -> str:
    """Return the SHA-256 of what the user said yes to: tool, arguments and sentence."""
    asked = [decided.call.name, decided.call.arguments or {}, decided.summary]
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def _reason(decided: DecidedCall, outcome: Outcome) -> str:
    if decided.effects is None:
        return "unlisted"
    changed = isinstance(outcome.value, dict) and outcome.value.get("changed") is True
    return "changed" if changed else "not allowed"
