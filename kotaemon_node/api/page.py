"""The pages ``/`` and ``/admin`` and their assets, from the package's ``web`` folder alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, send_from_directory

from kotaemon_node.api.answers import ignore_if_match, only_if_changed
from kotaemon_node.api.context import services
from kotaemon_node.api.packing import ASK_FIRST, FOR_EVER, packed, unversioned, with_versions
from kotaemon_node.domain.errors import NotFound, Unavailable
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE

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
    ".ts": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}

# The page's example questions are about the sample shop: these documents answer them.
EXAMPLE_DOCUMENTS: Final = frozenset(
    f"{topic}{language}"
    for topic in ("shipping", "returns", "warranty", "privacy")
    for language in ("", "-zh")
)
_SAMPLE_DOCUMENTS_MAX: Final = 100
"""Who has more has other questions; so a page costs no walk through thousands of documents."""

# Everything comes from us: what an answer or a document carries can fetch nothing and run nothing.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)

# A script or a style does nothing by its own policy: that of the page holds. So theirs is short.
POLICY_OF_PARTS: Final = "default-src 'none'"
_DRAWN: Final = frozenset({"text/html", "image/svg+xml"})


@routes.get("/")
def index() -> Response:
    """Serve the page."""
    return _page("index.html", examples=_serves_the_sample())


@routes.get("/admin")
def admin() -> Response:
    """Serve the page of those who run the cluster; what it shows asks for its own permissions."""
    return _page("admin.html")


@routes.get("/assets/<path:name>")
def asset(name: str) -> Response:
    """Serve a script, a style or a font of the page."""
    file, kept = unversioned(name, WEB_DIR / "assets")
    return _file(WEB_DIR / "assets", file, kept=kept)


def _page(name: str, *, examples: bool = False) -> Response:
    """Return a page whose files may be kept for ever, since another version has other addresses."""
    text = with_versions((WEB_DIR / name).read_text(encoding="utf-8"), WEB_DIR / "assets")
    if examples:
        text = text.replace("<html", "<html data-examples", 1)
    answer = Response(text, mimetype="text/html")
    answer.add_etag()
    only_if_changed(answer)
    return _headed(packed(answer, Path(name)), MEDIA_TYPES[".html"], kept=ASK_FIRST)


def _serves_the_sample() -> bool:
    """Tell whether the example questions have an answer here."""
    try:
        documents = services().knowledge.manifest(DEFAULT_KNOWLEDGE_BASE).documents
    except (NotFound, Unavailable):  # nothing was published, or this pod has just begun to load
        return False
    if len(documents) > _SAMPLE_DOCUMENTS_MAX:
        return False
    indexed = {Path(it.document).stem for it in documents if it.status == "indexed"}
    return indexed >= EXAMPLE_DOCUMENTS


def _file(folder: Path, name: str, *, kept: str) -> Response:
    media_type = MEDIA_TYPES.get(Path(name).suffix)
    if media_type is None:
        raise NotFound("there is no such file")
    ignore_if_match()
    # Refuses every way out of the folder, sends an ETag and answers If-None-Match with 304.
    answer = send_from_directory(folder, name, mimetype=media_type, conditional=True, max_age=None)
    # A first visit has these hundred times, for each of its files.
    del answer.headers["Content-Disposition"], answer.headers["Last-Modified"]
    answer = packed(answer, Path(name))
    if kept == FOR_EVER and answer.status_code == 200:
        del answer.headers["ETag"]  # nobody asks again for what never changes
    return _headed(answer, media_type, kept=kept)


def _headed(answer: Response, media_type: str, *, kept: str) -> Response:
    answer.headers["Content-Type"] = media_type
    answer.headers["Cache-Control"] = kept
    if answer.mimetype in _DRAWN:
        answer.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        answer.headers["Permissions-Policy"] = "microphone=(self)"
    else:
        answer.headers["Content-Security-Policy"] = POLICY_OF_PARTS
    return answer
