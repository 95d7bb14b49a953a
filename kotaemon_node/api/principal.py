"""Who asks: the one function that makes the principal from a request."""

from typing import Final

from kotaemon_node.domain.errors import Unauthenticated
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.session import Principal

ANONYMOUS: Final = Principal(DEFAULT_TENANT, "anonymous", "open")


def principal_of(*, auth_mode: str) -> Principal:
    """Return the caller; raises ``Unauthenticated`` where a credential is needed.

    Open mode asks for none and everybody is the same. A mode that this version cannot check lets
    nobody in.
    """
    if auth_mode == "open":
        return ANONYMOUS
    raise Unauthenticated(f"this version cannot check credentials of mode {auth_mode!r}")
