"""The file in which an operator describes chat platforms: read once, checked whole.

channels:
  - name: shopchat
    reply_url: https://chat.example/hooks/kotaemon
    secret_file: /run/secrets/shopchat
    fields: {message_id: event.id, text: event.message.body}
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from kotaemon_node.adapters.webhooks.described import problem_of_url, secrets_in
from kotaemon_node.described import named_once, read_described
from kotaemon_node.domain.acting_limits import (
    CHANNEL_WAIT_S_MAX,
    CHANNEL_WAIT_S_MIN,
    CHANNELS_FILE_BYTES_MAX,
    CHANNELS_MAX,
)
from kotaemon_node.domain.channels import DEFAULT_PATHS, Channel
from kotaemon_node.domain.ids import DEFAULT_TENANT, ID_PATTERN

_Path = Annotated[str, Field(pattern=r"^[^.\s]+(\.[^.\s]+)*$", max_length=200)]


@dataclass(frozen=True, slots=True)
class DescribedChannel:
    """A channel and where the secrets lie by which both sides sign."""

    channel: Channel
    secrets: tuple[str, ...]
    """Those of the environment; empty where a file has them."""
    secret_file: Path | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Channel(_Strict):
    name: str = Field(pattern=f"^{ID_PATTERN}$")
    tenant: str = Field(default=DEFAULT_TENANT, pattern=f"^{ID_PATTERN}$")
    reply_url: str = Field(default="", max_length=2_000)
    private: bool = False
    secret_env: str = ""
    secret_file: Path | None = None
    wait_s: float = Field(default=0.0, ge=0.0, le=CHANNEL_WAIT_S_MAX)
    kb: str = Field(default="", pattern=f"^({ID_PATTERN})?$")
    shared: bool = False
    user_prefix: str = Field(default="", max_length=64)
    fields: dict[str, _Path] = Field(default_factory=dict)
    only: dict[_Path, str] = Field(default_factory=dict, max_length=16)
    unless: list[_Path] = Field(default_factory=list, max_length=16)
    challenge: str = Field(default="", pattern=r"^([^.\s]+(\.[^.\s]+)*)?$", max_length=200)


class _File(_Strict):
    channels: list[_Channel] = Field(max_length=CHANNELS_MAX)


def read_channels(
    path: Path, *, environment: Callable[[str], str | None]
) -> tuple[DescribedChannel, ...]:
    """Return what the file describes; ``ValueError`` says what is wrong in it, never a secret.

    ``environment`` gives the variables that hold secrets.
    """
    file = read_described(path, _File, setting="CHANNELS_FILE", bytes_max=CHANNELS_FILE_BYTES_MAX)
    named_once([one.name for one in file.channels], setting="CHANNELS_FILE", what="channel")
    return tuple(_described(one, environment) for one in file.channels)


def _described(one: _Channel, environment: Callable[[str], str | None]) -> DescribedChannel:
    where = f"CHANNELS_FILE: {one.name}"
    if one.reply_url and (problem := problem_of_url(one.reply_url, private=one.private)):
        raise ValueError(f"{where}: its reply_url {problem}")
    if not one.reply_url and not one.wait_s:
        raise ValueError(f"{where} needs a reply_url or a wait_s: else nobody hears an answer")
    if 0 < one.wait_s < CHANNEL_WAIT_S_MIN:
        raise ValueError(f"{where}: wait_s is 0 or at least {CHANNEL_WAIT_S_MIN:g}")
    if unknown := sorted(one.fields.keys() - DEFAULT_PATHS.keys()):
        raise ValueError(f"{where}: fields has no {unknown[0]}")
    if bool(one.secret_env) == bool(one.secret_file):
        raise ValueError(f"{where} needs one of secret_env and secret_file")
    given = {name: getattr(one, name) for name in _Channel.model_fields if name not in _OTHERWISE}
    channel = Channel(**given, paths={**DEFAULT_PATHS, **one.fields}, unless=tuple(one.unless))
    secrets: tuple[str, ...] = ()
    if not one.secret_file:
        secrets = secrets_in(environment(one.secret_env), where=where, variable=one.secret_env)
    return DescribedChannel(channel, secrets, one.secret_file)


_OTHERWISE = frozenset({"secret_env", "secret_file", "fields", "unless"})
