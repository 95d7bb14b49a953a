"""A scripted pod in mode ``oidc``: the product's own parts around an issuer of a test."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kotaemon_node.adapters.oidc import DescribedIssuer, OidcIssuers
from kotaemon_node.adapters.system.ids import RandomIds
from kotaemon_node.api.authority import Authority
from kotaemon_node.api.issuer_logins import IssuerLogins
from kotaemon_node.api.services import Services
from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.oidc import Issuer
from tests.fakes.credentials import FixedLines, KeyedCluster


class KeptEvents:
    """``ports.audit.AuditLog`` in a list."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)

    def actions(self) -> list[str]:
        return [event.action for event in self.events]


@dataclass
class OidcCluster(KeyedCluster):
    """A scripted pod that knows issuers, and keys as well."""

    issuers: Sequence[Issuer] = ()
    timeout_s: float = 5.0
    audit: KeptEvents = field(default_factory=KeptEvents)
    client_secret: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.auth_mode = "oidc"
        secret = FixedLines([self.client_secret]) if self.client_secret else None
        described = [DescribedIssuer(one, secret) for one in self.issuers]
        self.oidc = OidcIssuers(described, clock=self.clock, timeout_s=self.timeout_s)
        self.logins = IssuerLogins(
            self.oidc,
            live=self.live,
            secrets=self.ring.session_secrets,
            clock=self.clock,
            random=RandomIds().new_id,
        )
        self.authority = Authority(
            self.ring, live=self.live, clock=self.clock, issuers=self.oidc, logins=self.logins
        )

    def services(self) -> Services:
        """See the base: with a log that the test reads."""
        return replace(super().services(), audit=self.audit)
