"""Calls that outlive their turn: they go on behind it, and a follow-up tells how they end.

A slow call is a job of the retry queue. The queue begins a job again where its pod died, the store
failed, or somebody wants it tried again; so a call that may act twice is made when its job is
handed out for the first time, and never again. After that its tool is asked, or the user hears that
nobody knows. Whatever tells an outcome does it under the key of the call: once.
"""

from collections.abc import Mapping
from typing import Any

import orjson
import structlog

from kotaemon_node.domain.acting_limits import (
    CALL_CONTEXT_BYTES_MAX,
    RECONCILE_ATTEMPTS_MAX,
    TOOL_BEGIN_S,
    TOOL_SLACK_S,
)
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.engine.call_texts import Told, action_of, follow_up_texts
from kotaemon_node.engine.follow_ups import FollowUps
from kotaemon_node.engine.ledger import Outcome
from kotaemon_node.engine.tool_calls import Begun
from kotaemon_node.ports.later import SLOW_CALL, Later, LaterJob
from kotaemon_node.ports.tools import Caller, ToolSpec

_log = structlog.get_logger(__name__)


class Behind:
    """Takes calls over from turns that end before them. Thread safe."""

    def __init__(self, later: Later, follow_ups: FollowUps) -> None:
        self._later = later
        self._follow_ups = follow_ups

    def put(self, one: Begun, *, begun: bool = False) -> None:
        """Have a call made behind its turn; ``begun``: it is under way in this pod, which tells.

        Then the job is for the case that this pod dies, and comes after the call has ended.
        """
        wait_s = one.spec.timeout_s + TOOL_BEGIN_S + TOOL_SLACK_S if begun else 0.0
        self._later.put(
            LaterJob(
                id=f"slow:{one.key}",
                kind=SLOW_CALL,
                tenant=one.caller.tenant,
                fields={
                    **call_fields(one.spec, one.arguments, one.caller, one.key, one.summary),
                    "begun": begun or one.again,
                },
                due_in_s=wait_s,
                attempts_max=RECONCILE_ATTEMPTS_MAX,
            )
        )

    def tell(self, one: Begun, outcome: Outcome) -> None:
        """Tell how a call ended that its turn did not wait for; what is unknown the job tells."""
        if outcome.state == "unknown":
            return
        action = action_of(one.spec.name, one.arguments, one.summary)
        told: Told = "slow_done" if outcome.state == "done" else "slow_failed"
        session = SessionKey(one.caller.tenant, one.caller.session_id)
        try:
            self._follow_ups.tell(
                session,
                ref=outcome_ref(one.key),
                text=follow_up_texts(told, action=action, value=outcome.value),
            )
        except NodeError as error:
            _log.warning("outcome_not_told", reason=str(error))  # the job tells it


def _small(context: Mapping[str, Any]) -> bool:
    return len(orjson.dumps(dict(context))) <= CALL_CONTEXT_BYTES_MAX


def outcome_ref(key: str) -> str:
    """Return by what an outcome is told once, whoever finds it out."""
    return f"outcome:{key}"


def call_fields(
    spec: ToolSpec, arguments: Mapping[str, Any], caller: Caller, key: str, summary: str
) -> dict[str, Any]:
    """Return what a job needs to make a call, or to find out about it."""
    return {
        "name": spec.name,
        "arguments": dict(arguments),
        "effects": spec.effects,
        "looks_up": spec.looks_up,
        "key": key,
        "summary": summary,
        "session": caller.session_id,
        "turn": caller.turn_id,
        "user_id": caller.user_id,
        "channel": caller.channel,
        "context": dict(caller.context) if _small(caller.context) else {},
    }
