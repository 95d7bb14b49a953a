"""Issuers of tokens (OpenID Connect): their keys, their tokens, and the page's login by them."""

from kotaemon_node.adapters.oidc.described import IssuerFields, described_issuer, read_issuers
from kotaemon_node.adapters.oidc.issuers import DescribedIssuer, OidcIssuers

__all__ = [
    "DescribedIssuer",
    "IssuerFields",
    "OidcIssuers",
    "described_issuer",
    "read_issuers",
]
