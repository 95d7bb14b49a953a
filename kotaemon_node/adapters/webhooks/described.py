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

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

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
    try:
        with path.open("rb") as file:
            content = file.read(WEBHOOKS_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"WEBHOOKS_FILE cannot be read: {error}") from error
    if len(content) > WEBHOOKS_FILE_BYTES_MAX:
        raise ValueError(f"WEBHOOKS_FILE is larger than {WEBHOOKS_FILE_BYTES_MAX} bytes")
    try:
        described = _File.model_validate(yaml.safe_load(content))  # JSON is YAML too
    except yaml.YAMLError as error:
        raise ValueError(f"WEBHOOKS_FILE is neither YAML nor JSON: {error}") from error
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3]
        )
        raise ValueError(f"WEBHOOKS_FILE: {told}") from error
    names = [one.name for one in described.webhooks]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"WEBHOOKS_FILE: the name {name} is given to more than one webhook")
    return tuple(_described(one, environment) for one in described.webhooks)


def _described(one: _Webhook, environment: Callable[[str], str | None]) -> DescribedWebhook:
    where = f"WEBHOOKS_FILE: {one.name}"
    _check_address(one, where)
    if bool(one.secret_env) == bool(one.secret_file):
        raise ValueError(f"{where} needs one of secret_env and secret_file")
    secrets = () if one.secret_file else _secrets(one, where, environment(one.secret_env))
    subscriber = Subscriber(
        name=one.name,
        url=one.url,
        events=frozenset(one.events),
        tenant=one.tenant,
        texts=one.texts,
        private=one.private,
    )
    return DescribedWebhook(subscriber, secrets, one.secret_file)


def _check_address(one: _Webhook, where: str) -> None:
    address = urlsplit(one.url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ValueError(f"{where}: its url must begin with http:// or https://")
    if address.username or address.password:
        raise ValueError(f"{where}: its url must hold no password; what it gets is signed")
    if address.scheme == "http" and not one.private:
        raise ValueError(f"{where}: http:// is for private networks; use https://")


def _secrets(one: _Webhook, where: str, value: str | None) -> tuple[str, ...]:
    if not value:
        raise ValueError(f"{where} needs the variable {one.secret_env}, which is not set")
    secrets = tuple(value.split())
    for secret in secrets:
        if problem := problem_of_secret(secret):
            raise ValueError(f"{where}: {one.secret_env}: {problem}")
    if len(secrets) > SECRETS_MAX:
        raise ValueError(f"{where}: {one.secret_env} holds more than {SECRETS_MAX} secrets")
    return secrets
