"""Takes uploads and bundles of plugins from workers whose artifact store is this coordinator.

Nothing else is written.
"""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import BoundedSemaphore
from typing import IO, Any, Final

from flask import Blueprint, Response, request

from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import bundle_digest, uploaded_revision
from kotaemon_node.ports.artifacts import ArtifactStore

UPLOADS_AT_ONCE_MAX: Final = 8
_BLOCK_BYTES: Final = 256 * 1024

Problem = Callable[[int, str], Response]


class _Refused(Exception):
    """The bytes are too many, or not those that the name promises."""


def add_upload_routes(
    routes: Blueprint,
    path: str,
    *,
    store: ArtifactStore,
    native: Callable[..., Any],
    problem: Problem,
) -> None:
    """Add ``PUT`` and ``DELETE`` of uploads to ``routes``, which says who may call them."""
    slots = BoundedSemaphore(UPLOADS_AT_ONCE_MAX)

    @routes.put(f"{path}/<path:name>")
    def put_upload(name: str) -> Response:
        # A bundle is named by its bytes; whether they may run is decided by its signature.
        revision = uploaded_revision(name) or bundle_digest(name)
        if revision is None:
            return problem(405, "only uploads and bundles may be written")
        if not slots.acquire(blocking=False):
            return problem(503, "too many uploads at once")
        try:
            with tempfile.TemporaryFile() as file:
                _take(file, revision, native)
                source = Path(f"/proc/self/fd/{file.fileno()}")
                made = native(store.put_file_if_absent, name, source)
        except (_Refused, ValueError) as error:
            return problem(400, str(error))
        except OSError as error:
            return problem(507, f"it cannot be kept: {error.strerror or error}")
        finally:
            slots.release()
        return Response(status=201 if made else 200)

    @routes.delete(f"{path}/<path:name>")
    def delete_upload(name: str) -> Response:
        if uploaded_revision(name) is None:
            return problem(405, "only uploads may be removed")
        native(store.delete, name)
        return Response(status=204)


def _take(file: IO[bytes], revision: str, native: Callable[..., Any]) -> None:
    """Write the request's body to ``file``; ``_Refused`` where it is not ``revision``."""
    request.max_content_length = limits.DOCUMENT_BYTES_MAX
    digest, size = hashlib.sha256(), 0
    while block := request.stream.read(_BLOCK_BYTES):
        digest.update(block)
        size += len(block)
        native(file.write, block)
    native(file.flush)
    if digest.hexdigest() != revision:
        raise _Refused(f"the {size} bytes that came are not the content of this name")
