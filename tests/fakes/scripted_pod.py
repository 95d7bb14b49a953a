"""A real pod whose answers are scripted: server, routes, engine, pools and store are the product's.

    STALL_S=1 gunicorn -c tests/fakes/scripted_pod_conf.py tests.fakes.scripted_pod:app

A message ``{"pieces": 30000, "pause_ms": 0}`` is answered by so many pieces, so far apart; one that
is no such script comes back as it is.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gevent

from kotaemon_node import bootstrap
from kotaemon_node.composition import tenants
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import NotFound
from kotaemon_node.domain.knowledge import GenerationRef, Hit, Manifest, SearchResult
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.sessions import Work
from tests.fakes.encoder import HashingEncoder
from tests.fakes.knowledge_base import PASSAGE

limits.CLIENT_STALL_S = float(os.environ.get("STALL_S", limits.CLIENT_STALL_S))  # type: ignore[misc]
limits.LEAVE_WAIT_S = float(os.environ.get("LEAVE_WAIT_S", limits.LEAVE_WAIT_S))  # type: ignore[misc]
limits.LEAVE_ENDS_S = float(os.environ.get("LEAVE_ENDS_S", limits.LEAVE_ENDS_S))  # type: ignore[misc]


class AnyKnowledge:
    """Has one generation of one knowledge base, in which everything finds the same passage."""

    loaded = True
    refused: Mapping[str, str] = {}

    def __init__(self, **_: object) -> None:
        """Needs nothing."""

    def served(self) -> Mapping[str, GenerationRef]:
        return {"default": GenerationRef("default", 1, digest="0" * 64, manifest="none")}

    def reconcile(self) -> None:
        """There is nothing newer."""

    def wake(self, *_: object) -> None:
        """There is nothing newer."""

    def search(self, kb: str, question: str, **_: object) -> SearchResult:
        hit = Hit(PASSAGE, score=0.9, dense=0.8, lexical=3.5, coverage=1.0)
        return SearchResult(kb, 1, "0" * 64, (hit,))

    def manifest(self, kb: str) -> Manifest:
        raise NotFound(f"of {kb} nothing is listed here")

    ref = GenerationRef("default", 1, "0" * 64, "manifest")

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator[Any]:
        yield self


class ScriptedAnswerer:
    """Writes the pieces that the message asks for."""

    def __init__(self, *_: object, **__: object) -> None:
        """Needs nothing."""

    def answer(self, work: Work, out: FrameWriter, *, started_s: float) -> Draft:
        asked = _script(work.message)
        if asked is None:
            out.text(work.message)
            out.finish()
            return Draft(generations={"default": 1})
        for place in range(asked.get("pieces", 5)):
            out.text(f"{place:05d} ")
            # A real model is another process: this one's loop goes on between two tokens.
            gevent.sleep(asked.get("pause_ms", 0) / 1000)
        out.finish()
        return Draft(generations={"default": 1})


def _script(message: str) -> dict[str, Any] | None:
    try:
        asked = json.loads(message)
    except ValueError:
        return None
    # ``of`` makes two scripts that say the same two messages.
    scripted = isinstance(asked, dict) and asked.keys() <= {"pieces", "pause_ms", "of"}
    return asked if scripted else None


tenants.KnowledgeLibrary = AnyKnowledge  # type: ignore[assignment, misc]
bootstrap.Answerer = ScriptedAnswerer  # type: ignore[assignment, misc]
bootstrap.encoder_of = lambda *_, **__: HashingEncoder()  # type: ignore[assignment]

from kotaemon_node.server.wsgi import app  # noqa: E402 - builds the pod of the parts above

__all__ = ["app"]
