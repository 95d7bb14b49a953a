"""What the route of the audit log takes and gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from kotaemon_node.api.fields import Id, Query, whole_number
from kotaemon_node.audit_log.reading import Page
from kotaemon_node.domain import audit_limits as limits
from kotaemon_node.domain.audit import AuditOutcome
from kotaemon_node.domain.audit_chain import Entry
from kotaemon_node.domain.errors import Invalid

_TEXT = Field(max_length=limits.AUDIT_TEXT_CHARS_MAX)
_TIME = Field(pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?Z)?$")


class AuditQuery(Query):
    """``GET /v1/audit``. Times are UTC, a day or ``2026-05-01T10:00:00Z``."""

    tenant: Id | None = None
    """Another tenant's log, for who runs the cluster."""
    action: Annotated[str, _TEXT] = ""
    """An action, or the thing of several: ``key``."""
    outcome: Literal["done", "refused", "failed"] | None = None
    subject: Annotated[str, _TEXT] = ""
    target: Annotated[str, _TEXT] = ""
    credential: Annotated[str, _TEXT] = ""
    since: Annotated[str, _TIME] | None = None
    until: Annotated[str, _TIME] | None = None
    before: Annotated[str, Field(pattern=r"^\d{1,15}-\d{1,12}$")] | None = None
    """``next`` of the page before."""
    limit: Annotated[int, Field(ge=1, le=limits.AUDIT_PAGE_MAX), BeforeValidator(whole_number)] = 50


@dataclass(frozen=True, slots=True)
class AuditEntryForm:
    """One act: who did what to whose, and with what outcome. ``at`` is UTC."""

    chain: str
    seq: int
    at: str
    action: str
    outcome: AuditOutcome
    tenant: str
    subject: str
    role: str
    credential: str
    target: str
    address: str
    trace_id: str
    detail: Mapping[str, str | int | float | bool]
    hash: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries of one tenant's log, newest first. ``next`` begins the next page; null: none is left.

    A page may be empty and not the last: so many entries are looked at for one.
    """

    entries: Sequence[AuditEntryForm]
    next: str | None
    tenants: Sequence[str]
    """Whose logs the caller may read."""


def as_written(time: str | None) -> str:
    """Return a time of the query as entries have it, to the millisecond; "" for none.

    Entries are compared with it as text: ``…00Z`` would lie behind ``…00.500Z``. ``Invalid`` for
    what is no time.
    """
    if not time:
        return ""
    try:
        at = datetime.fromisoformat(time)
    except ValueError as error:
        raise Invalid(f"{time} is no time: {error}") from error
    return at.replace(tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def page_form(page: Page, tenants: Sequence[str]) -> AuditPage:
    """Return a page as it is shown."""
    after = f"{page.next[0]}-{page.next[1]}" if page.next else None
    return AuditPage([_entry_form(entry) for entry in page.entries], after, tenants)


def _entry_form(entry: Entry) -> AuditEntryForm:
    event = entry.event
    return AuditEntryForm(
        chain=str(entry.chain),
        seq=entry.seq,
        at=entry.at,
        action=event.action,
        outcome=event.outcome,
        tenant=event.tenant,
        subject=event.subject,
        role=event.role,
        credential=event.credential,
        target=event.target,
        address=event.address,
        trace_id=event.trace_id,
        detail=event.detail,
        hash=entry.hash,
    )
