"""Quotas: how much a principal, and a tenant, may use; one table for the whole cluster.

Every value stands for itself: what a more particular row leaves out, the next one says. From the
most particular on: the principal by name, its role in its tenant, everybody in its tenant, its role
anywhere, everybody. ``null`` says that there is no limit, whatever stands behind.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from kotaemon_node.domain.ids import ID_PATTERN
from kotaemon_node.domain.session import Principal

ROLES: Final = ("admin", "editor", "agent", "customer", "open")
COST_UNIT: Final = 1_000_000
"""Costs are counted in millionths of the currency of the prices."""

_SUBJECT: Final = re.compile(r"[\x21-\x7e]{1,256}")
_LIMIT_MAX: Final = 1e9  # in millionths, too, it is below 2**53, up to which scripts are exact

Row = Mapping[str, float | None]
"""Some of the limits, by name; None: none."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What may be used; None: as much as one likes."""

    requests_per_minute: int | None = None
    """In any sixty seconds."""
    tokens_per_minute: int | None = None
    """Of language models, read and written; in any sixty seconds."""
    cost_per_day: float | None = None
    """Of language models, in the currency of their prices; a day of UTC."""
    streams: int | None = None
    """Answers that are followed, and connections that are open, at once."""
    upload_bytes_per_day: int | None = None

    def __bool__(self) -> bool:
        """Tell whether anything is limited."""
        return any(value is not None for value in self.values)

    @property
    def values(self) -> tuple[float | None, ...]:
        """The limits in the order of ``LIMITS``."""
        return tuple(getattr(self, name) for name in LIMITS)


LIMITS: Final = tuple(one.name for one in fields(Quota))


@dataclass(frozen=True, slots=True)
class TenantRows:
    """What a tenant has of its own."""

    tenant: Row = field(default_factory=dict)
    principal: Row = field(default_factory=dict)
    roles: Mapping[str, Row] = field(default_factory=dict)
    principals: Mapping[str, Row] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QuotaTable:
    """All rows. ``principal``: each principal; ``tenant``: all principals of a tenant together."""

    principal: Row = field(default_factory=dict)
    roles: Mapping[str, Row] = field(default_factory=dict)
    tenant: Row = field(default_factory=dict)
    tenants: Mapping[str, TenantRows] = field(default_factory=dict)

    def of_principal(self, one: Principal) -> Quota:
        """Return what a principal may use by itself."""
        own = self.tenants.get(one.tenant, TenantRows())
        return _quota(
            self.principal,
            self.roles.get(one.role, {}),
            own.principal,
            own.roles.get(one.role, {}),
            own.principals.get(one.subject, {}),
        )

    def of_tenant(self, tenant: str) -> Quota:
        """Return what all principals of a tenant may use together."""
        return _quota(self.tenant, self.tenants.get(tenant, TenantRows()).tenant)

    def behind(self, row: Row) -> "QuotaTable":
        """Return the table with ``row`` as what it leaves open of each principal."""
        return QuotaTable({**row, **self.principal}, self.roles, self.tenant, self.tenants)


def read_table(said: Any) -> QuotaTable:
    """Return the table that a file says; raises ``ValueError``, which names the place."""
    rows = _names(said, "", {"principal", "roles", "tenant", "tenants"})
    tenants = _mapping(rows.get("tenants"), "tenants")
    for name in tenants:
        if not re.fullmatch(ID_PATTERN, name, re.ASCII):
            raise ValueError(f"tenants: {name!r} is no name of a tenant")
    return QuotaTable(
        principal=_row(rows.get("principal"), "principal"),
        roles=_roles(rows.get("roles"), "roles"),
        tenant=_row(rows.get("tenant"), "tenant"),
        tenants={name: _tenant(one, f"tenants.{name}") for name, one in tenants.items()},
    )


def _tenant(said: Any, place: str) -> TenantRows:
    rows = _names(said, place, {"tenant", "principal", "roles", "principals"})
    principals = _mapping(rows.get("principals"), f"{place}.principals")
    for name in principals:
        if not _SUBJECT.fullmatch(name):
            raise ValueError(f"{place}.principals: {name!r} is no subject of a credential")
    return TenantRows(
        tenant=_row(rows.get("tenant"), f"{place}.tenant"),
        principal=_row(rows.get("principal"), f"{place}.principal"),
        roles=_roles(rows.get("roles"), f"{place}.roles"),
        principals={
            name: _row(one, f"{place}.principals.{name}") for name, one in principals.items()
        },
    )


def _roles(said: Any, place: str) -> Mapping[str, Row]:
    rows = _names(said, place, set(ROLES))
    return {role: _row(row, f"{place}.{role}") for role, row in rows.items()}


def _row(said: Any, place: str) -> Row:
    row = _names(said, place, set(LIMITS))
    return {name: _limit(value, name, f"{place}.{name}") for name, value in row.items()}


def _limit(value: Any, name: str, place: str) -> float | None:
    if value is None:
        return None
    whole = name != "cost_per_day"
    right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not right or not 0 < value <= _LIMIT_MAX:
        kind = "a whole number" if whole else "a number"
        raise ValueError(
            f"{place} must be {kind} above 0, or null for no limit; it is {value!r}"
            " (to keep somebody out, revoke the credential)"
        )
    return float(value) if not whole else int(value)


def _names(said: Any, place: str, known: set[str]) -> Mapping[str, Any]:
    rows = _mapping(said, place)
    if unknown := sorted(set(rows) - known):
        where = f"{place}: " if place else ""
        raise ValueError(f"{where}{unknown[0]!r} is not one of {', '.join(sorted(known))}")
    return rows


def _mapping(said: Any, place: str) -> Mapping[str, Any]:
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        # What is wrong in a file is a wrong value to who wrote it, of whatever type it is.
        raise ValueError(f"{place or 'the file'} must hold names and values")  # noqa: TRY004
    for name in said:
        if not isinstance(name, str):
            told = f"{place or 'the file'}: {name!r} must be a text; put it in quotes"
            raise ValueError(told)  # noqa: TRY004 - as above
    return said


def _quota(*rows: Row) -> Quota:
    whole: dict[str, Any] = {}
    for row in rows:
        whole |= row
    return Quota(**whole)
