"""What the route takes that ends logins of the page."""

from typing import Annotated

from pydantic import Field

from kotaemon_node.api.fields import Body, Id
from kotaemon_node.domain.limits import LOGIN_USER_CHARS_MAX


class EndLoginsBody(Body):
    """``POST /v1/logins/end``. The same again ends those that were made in between."""

    user: Annotated[str, Field(min_length=1, max_length=LOGIN_USER_CHARS_MAX)]
    """As ``GET /v1/me`` and the audit log name them."""
    tenant: Id | None = None
    """The user's tenant, for who runs the cluster; else the caller's."""
