"""The keys of the audit log; ``keys`` has them in its table. Those of a tenant share a slot."""

from typing import Final

from kotaemon_node.domain.ids import DEFAULT_TENANT

TENANTS: Final = "kn:audit-tenants"
"""Set."""


def head(tenant: str) -> str:
    """Hash."""
    return f"kn:{{audit:{tenant}}}:head"


def lines(tenant: str) -> str:
    """Stream."""
    return f"kn:{{audit:{tenant}}}:lines"


def known(name: str) -> str:
    """String."""
    return f"kn:{{audit:{DEFAULT_TENANT}}}:known:{name}"
