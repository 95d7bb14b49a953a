"""Talks to a running cluster over HTTP, for the commands that ask it something."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from kotaemon_node.cli.cluster import folder_of
from kotaemon_node.local import cluster as clusters
from kotaemon_node.local.errors import LocalError

_TIMEOUT_S = 75.0


class ServiceError(Exception):
    """The cluster cannot be reached, or it refused; the message says which."""


def address(url: str, data: Path) -> str:
    """Return where the cluster is: ``url``, KOTAEMON_URL, or the cluster of the data folder."""
    if url or os.environ.get("KOTAEMON_URL"):
        return (url or os.environ["KOTAEMON_URL"]).rstrip("/")
    cluster = clusters.load(folder_of(data))
    if cluster is None:
        raise LocalError(
            "There is no cluster in the data folder; start one with `kotaemon up`, or name one"
            " with --data or --url."
        )
    return cluster.url


def get(url: str, *, query: Mapping[str, str | int] | None = None) -> Any:
    """Return the JSON that a route answers; ``ServiceError`` in every other case."""
    try:
        response = requests.get(url, params=query, timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        raise ServiceError(unreachable(url)) from error
    return checked(response).json()


def checked(response: requests.Response) -> requests.Response:
    """Return the response where it is a success; ``ServiceError`` with the reason otherwise."""
    if response.ok:
        return response
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.reason
    raise ServiceError(f"The cluster answered {response.status_code}: {message}")


def unreachable(url: str) -> str:
    """Return the sentence for a cluster that does not answer at all."""
    return f"No cluster answers at {url}; is it running? `kotaemon ps` shows."
