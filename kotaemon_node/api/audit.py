"""The audit log, for who has to know who did what."""

from collections.abc import Sequence
from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.audit_forms import AuditQuery, as_written, page_form
from kotaemon_node.api.context import principal, services
from kotaemon_node.api.query import read_query
from kotaemon_node.audit_log.reading import Wanted
from kotaemon_node.domain.errors import Forbidden, NotFound
from kotaemon_node.domain.ids import DEFAULT_TENANT

routes: Final = Blueprint("audit", __name__)


@routes.get("/v1/audit")
def read_audit() -> Response:
    """Read the audit log of the caller's tenant, newest first; who runs the cluster reads any."""
    query = read_query(AuditQuery)
    desk = services().audit_desk
    if desk is None:
        raise NotFound("this cluster keeps no audit log; AUDIT_LOG=on makes it")
    own = principal().tenant
    tenant = query.tenant or own
    if own not in {tenant, DEFAULT_TENANT}:
        raise Forbidden("only an administrator of the cluster may read another tenant's log")
    wanted = Wanted(
        query.action,
        query.outcome or "",
        query.subject,
        query.target,
        query.credential,
        as_written(query.since),
        as_written(query.until),
    )
    chain, _, seq = (query.before or "").partition("-")
    before = (int(chain), int(seq)) if seq else None
    page = desk.page(tenant, before=before, limit=query.limit, wanted=wanted)
    tenants: Sequence[str] = desk.tenants() if own == DEFAULT_TENANT else [own]
    return json_answer(page_form(page, tenants))
