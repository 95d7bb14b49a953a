"""Talks to a running cluster over HTTP, for the commands that ask it something."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import requests
import typer

from kotaemon_node.bearer import Bearer
from kotaemon_node.cli.cluster import folder_of
from kotaemon_node.local import admin_key
from kotaemon_node.local import cluster as clusters
from kotaemon_node.local.errors import LocalError

_TIMEOUT_S = 75.0

# What to do about a refusal; others speak for themselves.
_ADVICE: Final[Mapping[int, str]] = {
    401: "Name a key with KOTAEMON_API_KEY or --key.",
    403: "Use a key of another role.",
    429: "Try again in a moment.",
    502: "Try again in a moment; `kotaemon status` shows whether pods are well.",
    503: "Try again in a moment; `kotaemon status` shows whether pods are well.",
}
_ADVICE_BY_CODE: Final[Mapping[str, str]] = {
    "session_not_found": "`kotaemon sessions list` shows which sessions there are.",
    "gone": "`kotaemon sessions show ID` shows what is left.",
}

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


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class ServiceError(Exception):
    """The cluster cannot be reached, or it refused; the message says which."""


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
    return ask(place, "GET", path, query=query)


def ask(
    place: Place,
    method: str,
    path: str,
    *,
    query: Mapping[str, str | int] | None = None,
    body: Mapping[str, Any] | None = None,
) -> Any:
    """Return the JSON that a route answers, None where it says nothing; else ``ServiceError``."""
    url = f"{place.url}{path}"
    try:
        response = requests.request(
            method, url, params=query, json=body, timeout=_TIMEOUT_S, auth=place.auth
        )
    except (requests.RequestException, ValueError) as error:  # ValueError: no address at all
        raise ServiceError(unreachable(place.url)) from error
    text = checked(response)
    if not text.content:
        return None
    try:
        return text.json()
    except ValueError:
        raise ServiceError(
            f"{place.url} is no kotaemon cluster: it answers something else than JSON. Check --url"
            " and KOTAEMON_URL."
        ) from None


def checked(response: requests.Response) -> requests.Response:
    """Return the response where it is a success; ``ServiceError`` with the reason otherwise."""
    if response.ok:
        return response
    try:
        error = response.json()["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "", response.reason
    raise ServiceError(refusal(response.status_code, code, message))


def refusal(status: int, code: str, message: str) -> str:
    """Return the sentence for a refusal, with what to do about it where that is known."""
    said = message.rstrip(".")
    advice = _ADVICE_BY_CODE.get(code) or _ADVICE.get(status, "")
    return f"The cluster answered {status}: {said}." + (f" {advice}" if advice else "")


def unreachable(url: str) -> str:
    """Return the sentence for a cluster that does not answer at all."""
    return (
        f"No cluster answers at {url}; is it running? `kotaemon ps` shows. Another address can be"
        " named with --url or KOTAEMON_URL."
    )
