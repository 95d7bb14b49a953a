"""Opens a citation: the passage in its document as it was, as JSON or as a page for people."""

from typing import Final

from flask import Blueprint, Response, request

from kotaemon_node.api.answers import json_answer, kept
from kotaemon_node.api.context import knowledge, services
from kotaemon_node.api.errors import ERRORS
from kotaemon_node.api.inputs import SourceQuery
from kotaemon_node.api.page import CONTENT_SECURITY_POLICY
from kotaemon_node.api.query import path_number, read_query
from kotaemon_node.api.showing import source_form
from kotaemon_node.api.source_page import absence_page, source_page
from kotaemon_node.domain.errors import NodeError, NotFound, Withdrawn
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.knowledge import Source

routes: Final = Blueprint("sources", __name__)

Span = tuple[int, int]


@routes.get("/v1/sources/<kb>/<generation>/<id>")
def read_source(kb: str, generation: str, id: str) -> Response:
    """Open a cited passage in its document as it was then; for a browser, as a page."""
    kb = checked_id("knowledge base", kb)
    passage = checked_id("passage id", id)
    number = path_number("generation", generation)
    query = read_query(SourceQuery)
    page = request.accept_mimetypes.best_match(("application/json", "text/html")) == "text/html"
    try:
        source = knowledge().source(kb, number, passage)
        quotes = _quotes(query.quote, source)
    except (NotFound, Withdrawn) as error:
        if not page:
            raise
        return _absence(error)
    if page:
        answer = _page(source_page(source, quotes))
    else:
        answer = json_answer(source_form(passage, source, quotes))
    answer.headers["Vary"] = "Accept"
    return kept(answer, cache_control=_cache_control())


def _quotes(said: str | None, source: Source) -> list[Span]:
    """Return the places named, which lie in the passage one behind the other."""
    quotes: list[Span] = []
    at, end = source.span
    for one in said.split(",") if said else ():
        first, last = map(int, one.split("-"))
        if not at <= first < last <= end:
            raise NotFound("the passage has no such place")
        quotes.append((first, last))
        at = last
    return quotes


def _page(text: str, *, status: int = 200) -> Response:
    answer = Response(text, status=status, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return answer


def _absence(error: NodeError) -> Response:
    answer = _page(absence_page(error.code), status=ERRORS[error.code].status)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Vary"] = "Accept"
    return answer


def _cache_control() -> str:
    """Tell who may keep it and for how long.

    The address names the revision and the place, so what it opens never changes; but it may be
    withdrawn, and then no copy may be shown for longer than was said here.
    """
    # Shared caches on the way may keep what needs no credential, and nothing else.
    scope = "public" if services().auth_mode == "open" else "private"
    kept_s = services().source_cache_s
    if kept_s == 0:
        return f"{scope}, no-cache"
    return f"{scope}, max-age={kept_s}, must-revalidate, immutable"
