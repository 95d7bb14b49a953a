"""Identifiers that people and programs outside may choose, and the one rule they obey."""

import re
from typing import Final

from kotaemon_node.domain.errors import Malformed

ID_PATTERN: Final = r"[A-Za-z0-9_.-]{1,128}"
_ID: Final = re.compile(ID_PATTERN, re.ASCII)

DEFAULT_TENANT: Final = "default"
DEFAULT_KNOWLEDGE_BASE: Final = "default"

# The session store's keys have the tenant where others have one of these words: the sessions of a
# tenant ``kb`` would lie where the knowledge bases of a tenant ``all-sessions`` are named.
RESERVED_TENANTS: Final = frozenset(
    {"answer", "breaker", "good", "idle", "kb", "leader", "pod", "running", "touch"}
)


def checked_id(kind: str, value: object) -> str:
    """Return ``value`` when it is a legal id, else raise ``Malformed`` naming ``kind``.

    The alphabet keeps an id safe inside a Redis hash tag, a path and a header.
    """
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise Malformed(f"{kind} must match {ID_PATTERN}")
    if value in {".", ".."}:
        # Legal by the alphabet, yet a step in a path.
        raise Malformed(f"{kind} must not be '.' or '..'")
    return value


def is_id(value: str) -> bool:
    """Tell whether ``checked_id`` would return it."""
    return _ID.fullmatch(value) is not None and value not in {".", ".."}


def checked_tenant(kind: str, value: object) -> str:
    """Return ``value`` when a tenant may have this name, else raise ``Malformed``."""
    tenant = checked_id(kind, value)
    if tenant in RESERVED_TENANTS:
        raise Malformed(f"{kind} must not be {tenant!r}: that word has a meaning of its own")
    return tenant
