"""Who may call which route: deny by default, one row per endpoint.

A route without a row stops the pod from starting (``unlisted``), and a call that finds no row is
refused. docs/reference/routes.md shows the same rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from kotaemon_node.domain.credentials import SCOPES, Scope
from kotaemon_node.domain.errors import Forbidden
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.session import Principal


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an endpoint: everybody without a credential, or the roles named."""

    public: bool
    roles: frozenset[str]
    whole_cluster: bool = False
    """It is about all tenants, so only those who run the cluster may: tenant ``default``."""
    signed: bool = False
    """The route itself asks for a signature of the request."""
    scope: Scope | None = None
    """The group of routes that a credential may be narrowed to; None: open under every scope."""


PUBLIC: Final = Access(True, frozenset())
SIGNED: Final = Access(True, frozenset(), signed=True)
"""Whoever signed the request may: the route itself checks that, in every mode."""
# The balancer, the orchestrator and the scraper have no credential; the page carries none either.
_ALL: Final = frozenset({"admin", "editor", "agent", "customer", "open"})
KNOWN: Final = Access(False, _ALL)
"""Whoever shows a credential, however narrow: it tells only what the caller brought."""
TALKERS: Final = Access(False, _ALL, scope="talk")
READERS: Final = Access(False, _ALL, scope="search")
KEEPERS: Final = Access(False, frozenset({"admin", "editor", "open"}), scope="knowledge")
AUDITORS: Final = Access(False, frozenset({"admin", "agent", "open"}), scope="people")
# Records hold whole prompts, and the conversations of all users.
INSPECTORS: Final = replace(AUDITORS, scope="insight")
OVERSEERS: Final = Access(False, frozenset({"admin", "open"}), scope="insight")
"""Of their own tenant; the route lets those of the cluster see all."""
WARDENS: Final = replace(OVERSEERS, scope="people")
"""Of their own tenant; the route lets those of the cluster name another."""
ANALYSTS: Final = replace(KEEPERS, scope="insight")
OPERATORS: Final = Access(False, frozenset({"admin", "open"}), whole_cluster=True, scope="cluster")

PERMISSIONS: Final[Mapping[str, Access]] = {
    "chat.chat": TALKERS,
    "chat.ask": TALKERS,
    "openai.complete": TALKERS,
    "openai.list_models": TALKERS,
    "openai.read_model": TALKERS,
    "openai.embed": READERS,
    "channels.receive": SIGNED,
    "sessions.list_sessions": TALKERS,
    "sessions.create_session": TALKERS,
    "sessions.read_session": TALKERS,
    "sessions.stream_session": TALKERS,
    "sessions.delete_session": TALKERS,
    "turns.create_turn": TALKERS,
    "turns.read_turn": TALKERS,
    "turns.stream_turn": TALKERS,
    "turns.cancel_turn": TALKERS,
    "voice.talk": TALKERS,
    "voice.read_voice": TALKERS,
    "audio.transcribe": TALKERS,
    "audio.speak": TALKERS,
    "feedback.rate_turn": TALKERS,
    "handoffs.hand_off": TALKERS,
    "handoffs.hand_back": TALKERS,
    "handoffs.say": AUDITORS,
    "handoffs.list_handoffs": AUDITORS,
    "traces.read_trace": INSPECTORS,
    "analytics.read_analytics": ANALYSTS,
    "knowledge.search": READERS,
    "sources.read_source": READERS,
    "knowledge.read_knowledge": KEEPERS,
    "knowledge.list_documents": KEEPERS,
    "knowledge.read_document": KEEPERS,
    "knowledge.list_generations": KEEPERS,
    "knowledge.delete_document": KEEPERS,
    "knowledge.roll_back": KEEPERS,
    "knowledge.publish": KEEPERS,
    "uploads.upload_documents": KEEPERS,
    "faq.list_entries": KEEPERS,
    "faq.read_entry": KEEPERS,
    "faq.put_entry": KEEPERS,
    "faq.delete_entry": KEEPERS,
    "faq_drafts.list_drafts": KEEPERS,
    "faq_drafts.accept_draft": KEEPERS,
    "faq_drafts.dismiss_draft": KEEPERS,
    "jobs.list_jobs": KEEPERS,
    "jobs.read_job": KEEPERS,
    "dead_letters.list_dead_letters": KEEPERS,
    "dead_letters.retry_dead_letter": KEEPERS,
    "dead_letters.drop_dead_letter": KEEPERS,
    "audit.read_audit": OVERSEERS,
    "cluster.read_cluster": OPERATORS,
    "plugins.list_plugins": OPERATORS,
    "plugins.push_plugin": OPERATORS,
    "plugins.change_plugin": OPERATORS,
    "plugins.reload_plugin": OPERATORS,
    "plugins.delete_plugin": OPERATORS,
    "health.healthz": PUBLIC,
    "health.readyz": PUBLIC,
    "health.metrics": PUBLIC,
    "health.balancer": PUBLIC,
    "openapi.document": PUBLIC,
    "page.index": PUBLIC,
    "page.admin": PUBLIC,
    "page.asset": PUBLIC,
    "websocket.chat": TALKERS,
    "login.log_in": PUBLIC,
    "login.log_out": PUBLIC,
    "login.ways_in": PUBLIC,
    "login.leave": PUBLIC,
    "login.come_back": PUBLIC,
    "login.end_logins": WARDENS,
    "login.me": KNOWN,
    "limits.read_limits": KNOWN,
}


def is_public(endpoint: str) -> bool:
    """Return whether the endpoint needs no caller at all; an unknown one does."""
    return PERMISSIONS.get(endpoint, OPERATORS).public


def check(endpoint: str, principal: Principal) -> None:
    """Raise ``Forbidden`` unless the principal may call the endpoint."""
    access = PERMISSIONS.get(endpoint)
    if access is None or not (access.public or principal.role in access.roles):
        raise Forbidden(f"the role {principal.role} may not call this route")
    if principal.scopes and access.scope is not None and access.scope not in principal.scopes:
        raise Forbidden(
            f"the credential is narrowed to {', '.join(sorted(principal.scopes))}; this route"
            f" belongs to {access.scope}"
        )
    if access.whole_cluster and principal.tenant != DEFAULT_TENANT:
        raise Forbidden("only an administrator of the cluster may call this route")


def unscoped() -> list[str]:
    """Return the endpoints that ask for a caller and belong to no group of routes, but ``KNOWN``.

    A credential that is narrowed would open them; so there are none.
    """
    return sorted(
        name
        for name, access in PERMISSIONS.items()
        if not access.public and access != KNOWN and access.scope not in SCOPES
    )


def unlisted(endpoints: Iterable[str]) -> list[str]:
    """Return the endpoints that have no row."""
    return sorted(set(endpoints) - PERMISSIONS.keys())
