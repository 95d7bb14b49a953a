"""What a call asks for, read from its message and its metadata."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import unquote

from kotaemon_node.client.errors import Refused
from kotaemon_node.domain.client_address import Proxies
from kotaemon_node.domain.ids import ID_PATTERN
from kotaemon_node.rpc.kotaemon_pb2 import GenerateRequest

PASSED_ON: Final = (
    "authorization", "x-api-key", "traceparent", "x-trace-id", "x-turn-default",
)  # fmt: skip
"""Metadata of a call that goes on to the pod as headers: who asks, and under which trace."""
FORWARDED: Final = "x-forwarded-for"
"""Who calls, as far as whoever is connected may be believed; metadata of that name is not passed on
as it came: of whoever calls a pod directly it is only said."""
SESSION_KEY: Final = "x-session-id"
"""Metadata by which the balancer finds the session's pod; it may name the session alone, too."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A message of a turn, and how it is to be run. ``session_id`` "": one is made."""

    session_id: str
    turn_id: str
    body: Mapping[str, Any]
    """Of the turn, as the HTTP route takes it."""
    session: Mapping[str, Any]
    """What a session that is made with it is made of; empty: nothing is said of it."""
    headers: Mapping[str, str]
    after: int
    on_leave: Literal["cancel", "keep"]
    """What becomes of the turn when the caller leaves or its deadline passes."""


def asked_of(
    request: GenerateRequest, metadata: Sequence[tuple[str, Any]], *, client: str = ""
) -> Asked:
    """Return what is asked; raises ``Refused`` where a value cannot be read.

    ``client``: the address from which it comes, which the pod is told; "": unknown.
    """
    sent = {name: value for name, value in metadata if isinstance(value, str)}
    said = {name: value for name, value in request.metadata.items() if value}
    named = said.get("turn_id") or ""
    body = {
        "message": request.input,
        "turn_id": named or sent.get("x-turn-default") or secrets.token_hex(16),
        "kb": said.get("kb"),
        "on_busy": said.get("on_busy"),
        "epoch": said.get("epoch"),
        "min_generation": _number(said, "min_generation"),
        "intent_filter": _names(said.get("intent_filter")),
    }
    history = [{"role": one.role, "content": one.content} for one in request.history]
    session = {
        "user_id": said.get("user") or said.get("user_id"),
        "channel": said.get("channel"),
        "context": {"history": history} if history else None,
    }
    return Asked(
        session_id=_legal("session_id", said.get("session_id") or sent.get(SESSION_KEY, "")),
        turn_id=_legal("turn_id", str(body["turn_id"])),
        body={name: value for name, value in body.items() if value is not None},
        session={name: value for name, value in session.items() if value is not None},
        headers={
            # Blanks around a value are none of it in HTTP, which takes them from nobody.
            **{name: value for name in PASSED_ON if (value := sent.get(name, "").strip())},
            **({FORWARDED: client} if client else {}),
        },
        after=_number(said, "after") or 0,
        on_leave=_on_leave(said.get("on_leave"), named=bool(named)),
    )


def client_of(peer: str, metadata: Sequence[tuple[str, Any]], between: Proxies) -> str:
    """Return from which address a call comes; "": unknown.

    ``peer``: who is connected, as gRPC names it: ``ipv4:192.0.2.1:4711``, ``ipv6:%5B::1%5D:4711``.
    """
    kind, _, connected = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    host = unquote(connected).rpartition(":")[0].strip("[]")
    # gRPC gives the last of these alone; so the balancer puts all entries into one.
    told = [text for name, text in metadata if name == FORWARDED and isinstance(text, str)]
    return between.client_of(host, ",".join(told))


def _legal(name: str, value: str) -> str:
    """Return an id that can be part of a path and of a header; the pod judges all others itself."""
    if value and not re.fullmatch(ID_PATTERN, value):
        raise Refused(f"{name} has characters that no id has", code="malformed", status=400)
    return value


def _on_leave(said: str | None, *, named: bool) -> Literal["cancel", "keep"]:
    match said:
        case "cancel" | "keep":
            return said
        case None:
            # Nobody can come back to a turn whose id nobody knows.
            return "keep" if named else "cancel"
        case _:
            raise _invalid("on_leave must be cancel or keep")


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",")] if text else None


def _number(said: Mapping[str, str], name: str) -> int | None:
    text = said.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise _invalid(f"{name} must be a whole number")
    return int(text)


def _invalid(message: str) -> Refused:
    return Refused(message, code="invalid", status=422)
