"""Talks to a running cluster over HTTP, for the commands that ask it something."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import requests
import typer
from requests.auth import AuthBase

from kotaemon_node.cli.cluster import folder_of
from kotaemon_node.local import admin_key
from kotaemon_node.local import cluster as clusters
from kotaemon_node.local.errors import LocalError

_TIMEOUT_S = 75.0
_UNAUTHORIZED, _FORBIDDEN = 401, 403

DataOption = Annotated[Path, typer.Option("--data", help="Data folder of the cluster to ask.")]
UrlOption = Annotated[
    str, typer.Option("--url", help="Address of a cluster elsewhere; KOTAEMON_URL by default.")
]
KeyOption = Annotated[
    str,
    typer.Option(
        "--key",
        envvar="KOTAEMON_API_KEY",
        help="API key of a cluster that asks for one; the variable keeps it out of lists of"
        " processes. By default, of a cluster of this machine, its own admin key.",
    ),
]


class ServiceError(Exception):
    """The cluster cannot be reached, or it refused; the message says which."""


class Bearer(AuthBase):
    """Sends the key. As an ``auth`` object it also keeps a ``.netrc`` from taking its place."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster as the commands reach it: its address, and the key that opens it."""

    url: str
    key: str = ""

    @property
    def auth(self) -> Bearer | None:
        """What ``requests`` takes."""
        return Bearer(self.key) if self.key else None


def place_of(url: str, data: Path, key: str) -> Place:
    """Return where the cluster is: ``url``, KOTAEMON_URL, or the cluster of the data folder.

    Only that last one is shown its own admin key, where nobody names another.
    """
    if url or os.environ.get("KOTAEMON_URL"):
        return Place((url or os.environ["KOTAEMON_URL"]).rstrip("/"), key)
    folder = folder_of(data)
    cluster = clusters.load(folder)
    if cluster is None:
        raise LocalError(
            "There is no cluster in the data folder; start one with `kotaemon up`, or name one"
            " with --data or --url."
        )
    return Place(cluster.url, key or admin_key.read(folder))


def get(place: Place, path: str, *, query: Mapping[str, str | int] | None = None) -> Any:
    """Return the JSON that a route answers; ``ServiceError`` in every other case."""
    url = f"{place.url}{path}"
    try:
        response = requests.get(url, params=query, timeout=_TIMEOUT_S, auth=place.auth)
    except requests.RequestException as error:
        raise ServiceError(unreachable(url)) from error
    return checked(response).json()


def new_session(place: Place) -> str:
    """Return the id of a fresh session."""
    url = f"{place.url}/v1/sessions"
    try:
        response = requests.post(url, json={}, timeout=_TIMEOUT_S, auth=place.auth)
    except requests.RequestException as error:
        raise ServiceError(unreachable(url)) from error
    return str(checked(response).json()["session_id"])


def checked(response: requests.Response) -> requests.Response:
    """Return the response where it is a success; ``ServiceError`` with the reason otherwise."""
    if response.ok:
        return response
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.reason
    advice = ""
    if response.status_code == _UNAUTHORIZED:
        advice = " Name a key with KOTAEMON_API_KEY or --key."
    elif response.status_code == _FORBIDDEN:
        advice = " Use a key of another role."
    raise ServiceError(f"The cluster answered {response.status_code}: {message}{advice}")


def unreachable(url: str) -> str:
    """Return the sentence for a cluster that does not answer at all."""
    return f"No cluster answers at {url}; is it running? `kotaemon ps` shows."
