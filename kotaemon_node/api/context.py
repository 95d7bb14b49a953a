"""What a route knows of its pod and of the request under way."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from flask import Request, current_app, g, request

from kotaemon_node.api.knowledge_services import FaqService, KnowledgeService, TenantsService
from kotaemon_node.api.once import Once
from kotaemon_node.api.principal import principal_of
from kotaemon_node.api.services import Services
from kotaemon_node.api.streams import StreamSlots
from kotaemon_node.api.upload_slots import UploadSlots
from kotaemon_node.api.websocket.open_sockets import OpenSockets
from kotaemon_node.domain import limits
from kotaemon_node.domain.audit import AuditEvent, AuditOutcome
from kotaemon_node.domain.errors import NotFound, SessionNotFound, Unauthenticated
from kotaemon_node.domain.ids import DEFAULT_TENANT, checked_id
from kotaemon_node.domain.session import Principal, SessionKey, TurnKey

EXTENSION: Final = "kotaemon"


@dataclass(frozen=True, slots=True)
class Shared:
    """What all requests of one application share."""

    services: Services
    streams: StreamSlots
    uploads: UploadSlots
    sockets: OpenSockets
    interface: Once[bytes] = field(default_factory=Once)
    """What ``/openapi.json`` says. It takes half a second of computing, and anybody may ask."""


def shared() -> Shared:
    """Return what the application's requests share."""
    return cast(Shared, current_app.extensions[EXTENSION])


def services() -> Services:
    """Return the services that the application was made with."""
    return shared().services


def principal() -> Principal:
    """Return the caller; only routes that are not public have one."""
    return cast(Principal, g.principal)


def still_admitted() -> Callable[[], None]:
    """Return what raises ``Unauthenticated`` once the caller's credential counts no more.

    For answers that last: it may be called long after the request began, and as often as one likes.
    ``StoreUnavailable`` where that cannot be told now.
    """
    authority, auth_mode = services().authority, services().auth_mode
    if authority is None:
        return lambda: None
    # The request itself: what stands for it here means nothing once the answer is being sent.
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]
    caller, clock = principal(), services().clock
    known_s = clock.monotonic_s()

    def check() -> None:
        nonlocal known_s
        if clock.monotonic_s() - known_s < limits.API_KEYS_KNOWN_S:
            return
        if principal_of(asked, auth_mode=auth_mode, authority=authority) != caller:
            raise Unauthenticated("the credential stands for somebody else now")
        known_s = clock.monotonic_s()

    return check


def trace_id() -> str:
    """Return the id under which this request is found in logs, answers and audit records."""
    return cast(str, g.trace_id)


def client_address() -> str:
    """Return from which address the request comes, as far as that is known."""
    connected, told = request.remote_addr or "", request.headers.get("X-Forwarded-For", "")
    return services().proxies.client_of(connected, told)


def audit(
    action: str, *, outcome: AuditOutcome = "done", target: str = "", **detail: str | float
) -> None:
    """Tell the audit log what the caller did; ``action`` as docs/reference/audit.md lists it."""
    caller: Principal | None = g.get("principal")
    services().audit.record(
        AuditEvent(
            action=action,
            outcome=outcome,
            tenant=caller.tenant if caller else DEFAULT_TENANT,
            subject=caller.subject if caller else "",
            role=caller.role if caller else "",
            credential=caller.credential if caller else "",
            target=target,
            address=client_address(),
            trace_id=trace_id(),
            detail=detail,
        )
    )


def session_key(session_id: str) -> SessionKey:
    """Return the caller's session of this id; the one place where ids of sessions come in.

    Raises ``Malformed`` for an illegal one and, where ids are minted, ``SessionNotFound`` for one
    that was not minted for the caller. The store checks the owner as well.
    """
    checked = checked_id("session id", session_id)
    authority = services().authority
    if authority is not None:
        try:
            authority.require_own(principal(), checked)
        except SessionNotFound:
            audit("session.refused", outcome="refused", target=checked)
            raise
    return SessionKey(principal().tenant, checked)


def knowledge() -> KnowledgeService:
    """Return the knowledge of the caller's tenant; ``NotFound`` where only ``default`` has any."""
    tenant = principal().tenant
    return services().knowledge if tenant == DEFAULT_TENANT else _tenants().knowledge(tenant)


def faq() -> FaqService:
    """Return the FAQ of the caller's tenant; as ``knowledge``."""
    tenant = principal().tenant
    return services().faq if tenant == DEFAULT_TENANT else _tenants().faq(tenant)


def _tenants() -> TenantsService:
    tenants = services().tenants
    if tenants is None:
        raise NotFound("this tenant has no knowledge")
    return tenants


def turn_key(session_id: str, turn_id: str) -> TurnKey:
    """Return the turn of the caller's session; raises ``Malformed`` for an illegal id."""
    return TurnKey(session_key(session_id), checked_id("turn id", turn_id))
