"""What became of documents that were sent: read from the cluster's lists until all is decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import requests

from kotaemon_node.cli import service
from kotaemon_node.cli.service import Place

_PAGE: Final = 1_000
_JOBS_LOOKED_AT_MAX: Final = 50  # at each look; the others come with the next one
_NOT_FOUND: Final = 404


@dataclass(slots=True)
class Fate:
    """Documents that were sent, by what became of them. ``waiting``: document to (revision, job).

    The job is "" for what an earlier run sent.
    """

    waiting: dict[str, tuple[str, str]] = field(default_factory=dict)
    indexed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    """With the reason."""


def listed(place: Place, kb: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the documents of a knowledge base by name; none where there is no such base yet."""
    rows: dict[str, Mapping[str, Any]] = {}
    offset: int | None = 0
    path = f"/v1/knowledge/{quote(kb)}/documents"
    while offset is not None:
        page = _answer(place, path, offset=offset, limit=_PAGE)
        if page is None:
            return rows
        rows.update((row["document"], row) for row in page["documents"])
        offset = page["next_offset"]
    return rows


def look(place: Place, kb: str, fate: Fate) -> None:
    """Move what is decided out of ``fate.waiting``."""
    rows = listed(place, kb)
    unsure: list[str] = []
    for document, (revision, _) in list(fate.waiting.items()):
        row = rows.get(document, {})
        if row.get("revision") == revision and row["status"] == "indexed":
            _decide(fate, document, None)
        elif row.get("revision") == revision and row["status"] == "failed":
            _decide(fate, document, row["reason"] or "it cannot be read")
        elif revision not in (row.get("revision"), row.get("queued_revision")):
            unsure.append(document)
    for document in islice(unsure, _JOBS_LOOKED_AT_MAX):
        _ask_job(place, fate, document)


def _ask_job(place: Place, fate: Fate, document: str) -> None:
    """Decide by the job what no list has: the folder, the gate or a rollback refused it."""
    job = fate.waiting[document][1]
    if not job:
        _decide(fate, document, "it was sent before, and is not there any more; send it again")
        return
    answer = _answer(place, f"/v1/jobs/{quote(job)}")
    if answer is None:
        _decide(fate, document, "its job is not known any more; send it again")
    elif answer["state"] == "done":
        _decide(fate, document, None)  # this pod lists an older generation
    elif answer["state"] == "failed":
        _decide(fate, document, answer["reason"] or "its job failed")


def _decide(fate: Fate, document: str, reason: str | None) -> None:
    del fate.waiting[document]
    if reason is None:
        fate.indexed.add(document)
    else:
        fate.failed[document] = reason


def _answer(place: Place, path: str, **query: int) -> Any:
    """Return a route's JSON, None for 404; ``ServiceError`` else."""
    url = f"{place.url}{path}"
    try:
        response = requests.get(url, params=query, timeout=75.0, auth=place.auth)
    except requests.RequestException as error:
        raise service.ServiceError(service.unreachable(url)) from error
    return None if response.status_code == _NOT_FOUND else service.checked(response).json()
