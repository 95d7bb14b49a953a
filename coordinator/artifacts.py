"""Serves the coordinator's artifact store to workers that have no folder in common.

Contents never change under their name, so they may be cached for ever and fetched in parts. Whoever
holds the token may read all of it; without a token only this machine may. They write uploads and
nothing else.
"""

import hmac
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from itertools import islice
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Final

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from coordinator.upload_routes import add_upload_routes
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.artifacts import ArtifactStore

PATH: Final = "/artifacts"
PAGE_NAMES_MAX: Final = 1_000
# Of the 256 connections that the server allows: those who check its health must get in.
DOWNLOADS_AT_ONCE_MAX: Final = 64
_BLOCK_BYTES: Final = 256 * 1024
_RETRY_AFTER_S: Final = "2"


@dataclass(frozen=True, slots=True)
class ArtifactService:
    """What the routes need. ``native`` runs what reads the disk away from the serving loop."""

    store: ArtifactStore
    """In a folder of this machine: its files are sent as they are."""
    token: str
    """Empty: only requests from this machine are answered."""
    native: Callable[..., Any]


def artifact_routes(service: ArtifactService) -> Blueprint:
    """Return the routes below ``/artifacts``."""
    routes = Blueprint("artifacts", __name__)
    downloads = BoundedSemaphore(DOWNLOADS_AT_ONCE_MAX)

    @routes.before_request
    def admit() -> Response | None:
        return _refusal(service.token)

    @routes.get(PATH)
    def names() -> Response:
        prefix, after = request.args.get("prefix", ""), request.args.get("after", "")
        try:
            page = service.native(_page, service.store, prefix, after)
        except ValueError as error:
            return _problem(400, str(error))
        return jsonify({"names": page[:PAGE_NAMES_MAX], "next": _next(page)})

    @routes.get(f"{PATH}/<path:name>")
    def content(name: str) -> Response:
        try:
            path = service.store.open_local(name)
        except (ValueError, CorruptArtifact):
            return _problem(404, "there is no such artifact")
        if not downloads.acquire(blocking=False):
            answer = _problem(503, "too many downloads at once")
            answer.headers["Retry-After"] = _RETRY_AFTER_S
            return answer
        return _sent(path, service.native, downloads)

    add_upload_routes(routes, PATH, store=service.store, native=service.native, problem=_problem)
    return routes


def _refusal(token: str) -> Response | None:
    """Return what a stranger is told; None for who may read."""
    if not token:
        if _is_own_machine(request.remote_addr):
            return None
        return _problem(403, "without ARTIFACT_TOKEN artifacts are served to this machine alone")
    sent = request.headers.get("Authorization", "").encode("utf-8", "replace")
    if hmac.compare_digest(sent, f"Bearer {token}".encode()):
        return None
    answer = _problem(401, "this needs the token of ARTIFACT_TOKEN")
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _page(store: ArtifactStore, prefix: str, after: str) -> list[str]:
    """Return a page of names and one more where there is one."""
    later = (name for name in store.list(prefix) if name > after)
    return list(islice(later, PAGE_NAMES_MAX + 1))


def _next(page: list[str]) -> str | None:
    return page[PAGE_NAMES_MAX - 1] if len(page) > PAGE_NAMES_MAX else None


def _sent(path: Path, native: Callable[..., Any], downloads: BoundedSemaphore) -> Response:
    """Answer with the file or the part of it that was asked for; gives ``downloads`` back."""
    try:
        file = path.open("rb")
    except OSError:
        downloads.release()
        return _problem(404, "there is no such artifact")

    def done() -> None:
        file.close()
        downloads.release()

    try:
        size, tag = _identity(file.fileno())
        answer = Response(mimetype="application/octet-stream")
        answer.set_etag(tag)
        answer.accept_ranges = "bytes"
        answer.cache_control.private = True
        answer.cache_control.immutable = True
        answer.cache_control.max_age = 365 * 86_400
        start, stop = _wanted(answer, size, tag)
    except BaseException:
        done()
        raise
    answer.content_length = stop - start
    if request.method != "HEAD":
        answer.response = _blocks(file, start, stop, native)
    # Runs also where the generator was never begun, as for a client that is gone already.
    answer.call_on_close(done)
    return answer


def _identity(descriptor: int) -> tuple[int, str]:
    found = os.fstat(descriptor)
    return found.st_size, f"{found.st_size:x}-{found.st_mtime_ns:x}"


def _wanted(answer: Response, size: int, tag: str) -> tuple[int, int]:
    """Set the status; return the half-open range of bytes to send."""
    if request.if_none_match.contains(tag):
        answer.status_code = 304
        return 0, 0
    same = request.if_range.etag is None or request.if_range.etag == tag
    if request.range is None or not same:
        return 0, size
    found = request.range.range_for_length(size)
    if found is None:
        raise RequestedRangeNotSatisfiable(size)
    answer.status_code = 206
    answer.content_range.set(found[0], found[1], size)
    return found


def _blocks(file: Any, start: int, stop: int, native: Callable[..., Any]) -> Iterator[bytes]:
    file.seek(start)
    while start < stop:
        block: bytes = native(file.read, min(_BLOCK_BYTES, stop - start))
        if not block:
            return  # cut off under us: the client counts what came
        yield block
        start += len(block)


def _is_own_machine(address: str | None) -> bool:
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback


def _problem(status: int, message: str) -> Response:
    answer = jsonify({"error": message})
    answer.status_code = status
    return answer
