"""What is asked of issuers of tokens: companies' own logins."""

from collections.abc import Sequence
from typing import Protocol

from kotaemon_node.domain.oidc import Issuer
from kotaemon_node.domain.session import Principal


class Issuers(Protocol):
    """The issuers whose tokens count. Thread safe; blocking, each request in bounded time."""

    def judge(self, token: str) -> Principal:
        """Return whom a token stands for now.

        Raises ``Unauthenticated``; ``IssuerUnavailable`` where the keys are not known and cannot
        be had. Costs no request while the keys are known; tokens that no known key signed cost the
        issuer one request each ``UNKNOWN_KEY_S``, however many there are.
        """
        ...

    def all(self) -> Sequence[Issuer]:
        """Return the issuers, in the order in which they are offered."""
        ...

    def login_address(self, issuer: Issuer, *, state: str, nonce: str, challenge: str) -> str:
        """Return where a browser goes to log in. Raises ``IssuerUnavailable``."""
        ...

    def redeem(
        self, issuer: Issuer, *, code: str, verifier: str, nonce: str, by: str | None
    ) -> Principal:
        """Return who logged in, for the code with which the browser came back.

        ``by``: whom the answer names as its issuer (RFC 9207), None where it names nobody.

        Raises ``Unauthenticated`` for a code or an identity that does not hold, and for an answer
        that names another, or nobody though its issuer promised to name itself; and
        ``IssuerUnavailable``. A code counts once.
        """
        ...

    def logout_address(self, issuer: Issuer) -> str:
        """Return where a browser goes to log out at the issuer; "" where it has no such place."""
        ...
