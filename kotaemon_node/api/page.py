"""The page: ``/`` and its assets, from the package's ``web`` folder and from nowhere else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, send_from_directory

from kotaemon_node.domain.errors import NotFound

routes: Final = Blueprint("page", __name__)

WEB_DIR: Final = Path(__file__).resolve().parent.parent / "web"

# A type not listed is not served: the machine's own table differs from machine to machine, and a
# browser refuses a module of a wrong type.
MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}

# Everything comes from us: what an answer or a document carries can fetch nothing and run nothing.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


@routes.get("/")
def index() -> Response:
    """Serve the page."""
    return _file(WEB_DIR, "index.html")


@routes.get("/assets/<path:name>")
def asset(name: str) -> Response:
    """Serve a script, a style or a font of the page."""
    return _file(WEB_DIR / "assets", name)


def _file(folder: Path, name: str) -> Response:
    media_type = MEDIA_TYPES.get(Path(name).suffix)
    if media_type is None:
        raise NotFound("there is no such file")
    # Refuses every way out of the folder, sends an ETag and answers If-None-Match with 304.
    answer = send_from_directory(folder, name, mimetype=media_type, conditional=True, max_age=None)
    answer.headers["Content-Type"] = media_type
    # Names do not change with content: keep the file, but ask whether it is still the one.
    answer.headers["Cache-Control"] = "no-cache"
    answer.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return answer
