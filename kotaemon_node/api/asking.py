"""Asking and waiting for the turn: what ``/chat``, ``/ask`` and the turns route share."""

import hashlib
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any, Final, cast

from flask import Response, request

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.context import principal, services, trace_id
from kotaemon_node.api.errors import TurnFailed
from kotaemon_node.api.limited import counted
from kotaemon_node.api.sse import Frames
from kotaemon_node.domain.errors import Draining, StoreUnavailable
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.limits import JSON_WAIT_MAX_S
from kotaemon_node.domain.session import OnBusy, Turn, TurnKey, TurnRequest
from kotaemon_node.domain.turn import FINISHED, State

TURN_DEFAULT_HEADER: Final = "X-Turn-Default"


def open_mode() -> bool:
    """Return whether a caller may choose the id of a session that does not exist yet."""
    return services().auth_mode == "open"


def chosen_turn_id(named: str | None) -> str:
    """Return the turn id: the caller's, else the balancer's, else a fresh one.

    The balancer sends the same id when it repeats a request to another pod, so that a turn which
    the first pod accepted before it died is not run twice.
    """
    if named is not None:
        return named
    default = request.headers.get(TURN_DEFAULT_HEADER)
    if default:
        return checked_id(TURN_DEFAULT_HEADER, default)
    return services().ids.new_id()


def fresh_session_id() -> str:
    """Return the id of a session that this request makes.

    It follows from the balancer's id where there is one: a request that the balancer repeats to
    another pod finds the session, and in it the turn, that the first pod made before it died.
    """
    default = request.headers.get(TURN_DEFAULT_HEADER)
    if (authority := services().authority) is not None:
        return authority.mint(principal(), seed=default or services().ids.new_id())
    if default and open_mode():
        return hashlib.sha256(f"session of {default}".encode()).hexdigest()[:32]
    return services().ids.new_id()


def turn_request(
    key: TurnKey,
    *,
    message: str,
    create_session: bool,
    options: Mapping[str, Any] | None = None,
    on_busy: OnBusy = "enqueue",
    epoch: str | None = None,
) -> TurnRequest:
    """Return the caller's request to run a turn."""
    return TurnRequest(
        key=key,
        principal=principal(),
        message=message,
        options=options or {},
        on_busy=on_busy,
        trace_id=trace_id(),
        create_session=create_session,
        epoch=epoch or "",
    )


def submit(asked: TurnRequest) -> None:
    """Hand the turn to this pod; raises ``Draining`` when the pod is leaving."""
    if services().pod.draining:
        raise Draining("this pod is leaving")
    counted(asked, services().turns.submit)


def run(asked: TurnRequest) -> Turn:
    """Submit the turn and wait for its end, at most ``JSON_WAIT_MAX_S``; it then goes on alone."""
    submit(asked)
    try:
        turn = services().turns.wait(asked.key, asked.principal, timeout_s=JSON_WAIT_MAX_S)
        return turn or services().sessions.turn(asked.key, asked.principal)
    except StoreUnavailable:
        # It is accepted. Who is told to ask again, and named no turn, would have it run twice.
        return Turn(
            turn_id=asked.key.turn_id,
            message=asked.message,
            state=State.RUNNING,
            trace_id=asked.trace_id,
        )


def accepted(frames: Frames) -> Frames:
    """Begin the stream of a turn that was accepted, whatever the store says now.

    When it does not answer, the client is not told to send the turn again but to come back.
    """
    with closing(cast("Generator[Frame | None]", frames)):
        try:
            first = next(frames)
        except StopIteration:
            return
        except StoreUnavailable:
            yield None
            raise
        yield first
        yield from frames


def shown(key: TurnKey, turn: Turn, *, form: Callable[[str, Turn], object]) -> Response:
    """Answer with ``form(session id, turn)``: 200, or 202 and where to look when it still runs."""
    value = form(key.session.session_id, turn)
    if turn.state in FINISHED:
        return json_answer(value)
    answer = json_answer(value, status=202)
    answer.headers["Location"] = f"/v1/sessions/{key.session.session_id}/turns/{key.turn_id}"
    return answer


def answered(turn: Turn) -> Turn:
    """Return the turn; one that failed is raised as its error."""
    if turn.state is not State.FAILED:
        return turn
    error = turn.error or {}
    raise TurnFailed(
        str(error.get("code", "internal")),
        message=str(error.get("message", "")),
        retryable=bool(error.get("retryable", False)),
    )
