"""The file in which an operator says who is told of what: read once, checked whole.

webhooks:
  - name: crm
    url: https://crm.example/hooks/kotaemon
    events: [turn.completed, session.handoff]
    secret_file: /run/secrets/crm-webhook
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from kotaemon_node.described import named_once, read_described
from kotaemon_node.domain.acting_limits import WEBHOOKS_FILE_BYTES_MAX, WEBHOOKS_MAX
from kotaemon_node.domain.ids import DEFAULT_TENANT, ID_PATTERN
from kotaemon_node.domain.webhooks import (
    SECRETS_MAX,
    EventType,
    Subscriber,
    problem_of_secret,
)


@dataclass(frozen=True, slots=True)
class DescribedWebhook:
    """A subscriber and where the secrets lie that sign what it gets."""

    subscriber: Subscriber
    secrets: tuple[str, ...]
    """Those of the environment; empty where a file has them."""
    secret_file: Path | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Webhook(_Strict):
    name: str = Field(pattern=f"^{ID_PATTERN}$")
    url: str = Field(max_length=2_000)
    events: list[EventType] = Field(min_length=1)
    tenant: str = Field(default=DEFAULT_TENANT, pattern=f"^{ID_PATTERN}$")
    secret_env: str = ""
    secret_file: Path | None = None
    texts: bool = False
    private: bool = False


class _File(_Strict):
    webhooks: list[_Webhook] = Field(max_length=WEBHOOKS_MAX)


def read_webhooks(
    path: Path, *, environment: Callable[[str], str | None]
) -> tuple[DescribedWebhook, ...]:
    """Return what the file describes; ``ValueError`` says what is wrong in it, never a secret.

    ``environment`` gives the variables that hold secrets.
    """
    file = read_described(path, _File, setting="WEBHOOKS_FILE", bytes_max=WEBHOOKS_FILE_BYTES_MAX)
    named_once([one.name for one in file.webhooks], setting="WEBHOOKS_FILE", what="webhook")
    return tuple(_described(one, environment) for one in file.webhooks)


def _described(one: _Webhook, environment: Callable[[str], str | None]) -> DescribedWebhook:
    where = f"WEBHOOKS_FILE: {one.name}"
    if problem := problem_of_url(one.url, private=one.private):
        raise ValueError(f"{where}: its url {problem}")
    if bool(one.secret_env) == bool(one.secret_file):
        raise ValueError(f"{where} needs one of secret_env and secret_file")
    secrets: tuple[str, ...] = ()
    if not one.secret_file:
        secrets = secrets_in(environment(one.secret_env), where=where, variable=one.secret_env)
    subscriber = Subscriber(
        name=one.name,
        url=one.url,
        events=frozenset(one.events),
        tenant=one.tenant,
        texts=one.texts,
        private=one.private,
    )
    return DescribedWebhook(subscriber, secrets, one.secret_file)


def problem_of_url(url: str, *, private: bool) -> str:
    """Return what is wrong with an address to which signed messages go, "" for a good one."""
    address = urlsplit(url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        return "must begin with http:// or https://"
    if address.username or address.password:
        return "must hold no password; what it gets is signed"
    if address.scheme == "http" and not private:
        return "is not encrypted: http:// is for private networks; use https://"
    return ""


def secrets_in(value: str | None, *, where: str, variable: str) -> tuple[str, ...]:
    """Return the secrets that a variable holds; ``ValueError`` names no secret."""
    if not value:
        raise ValueError(f"{where} needs the variable {variable}, which is not set")
    secrets = tuple(value.split())
    for secret in secrets:
        if problem := problem_of_secret(secret):
            raise ValueError(f"{where}: {variable}: {problem}")
    if len(secrets) > SECRETS_MAX:
        raise ValueError(f"{where}: {variable} holds more than {SECRETS_MAX} secrets")
    return secrets
