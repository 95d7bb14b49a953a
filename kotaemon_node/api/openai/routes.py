"""OpenAI's routes: chat completions, models, embeddings."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson
from flask import Blueprint, Response, g

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.asking import accepted, submit, turn_request
from kotaemon_node.api.body import read_object
from kotaemon_node.api.context import services
from kotaemon_node.api.openai import embedding, models
from kotaemon_node.api.openai.bodies import ChatRequest, chat_request
from kotaemon_node.api.openai.completion import Telling, whole
from kotaemon_node.api.openai.errors import REQUEST_ID_HEADER, StillRunning
from kotaemon_node.api.openai.fields import refuse_unsupported
from kotaemon_node.api.openai.finding import Place, place_of
from kotaemon_node.api.openai.stream import ChunkStream
from kotaemon_node.api.openai.talk import Talk, talk_of
from kotaemon_node.api.sse import Frames, stream_answer
from kotaemon_node.domain.limits import JSON_WAIT_MAX_S
from kotaemon_node.domain.session import TurnRequest
from kotaemon_node.engine.given import ALONE, OPTION

routes: Final = Blueprint("openai", __name__)

_HOW: Final = frozenset({"stream", "stream_options"})
"""Fields that change the form of an answer alone."""


@routes.after_request
def name_request(answer: Response) -> Response:
    """Tell the request's id under the name that clients look for."""
    answer.headers[REQUEST_ID_HEADER] = g.trace_id
    return answer


@routes.get("/v1/models")
def list_models() -> Response:
    """List the assistant, over each knowledge base, and the models that embed."""
    return json_answer({"object": "list", "data": models.listed()})


@routes.get("/v1/models/<path:model>")
def read_model(model: str) -> Response:
    """Read one model."""
    return json_answer(models.found(model))


@routes.post("/v1/embeddings")
def embed() -> Response:
    """Embed texts, as they are, by a model of this cluster."""
    return json_answer(embedding.embedded(read_object(), services().openai.embed))


@routes.post("/v1/chat/completions")
def complete() -> Response:
    """Answer a conversation; the same request again within ten minutes is the same turn.

    With `stream` the answer comes in chunks as server-sent events.
    """
    said = read_object()
    refuse_unsupported(said)
    asked = chat_request(said)
    kb = models.knowledge_base_of(asked.model)
    talk = talk_of(asked, with_model=bool(services().openai.language_model))
    place = place_of(_digest(said))
    turn = _turn(talk, place, kb)
    head = {
        "id": f"chatcmpl-{turn.key.turn_id.removeprefix('chat-')}",
        "created": int(services().clock.now_s()),
        "model": asked.model,
    }
    about = {"session_id": turn.key.session.session_id, "turn_id": turn.key.turn_id}
    if asked.stream:
        return _streamed(turn, asked, head, about)
    return json_answer(whole(_waited(turn, asked), head, about))


def _digest(said: Mapping[str, Any]) -> str:
    """Return what tells two requests apart that name no key; how they are answered is nothing."""
    body = {name: value for name, value in said.items() if name not in _HOW}
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _turn(talk: Talk, place: Place, kb: str | None) -> TurnRequest:
    given = dict(talk.given)
    if not place.alone:
        given.pop("history", None)  # the session has its own
    options: dict[str, Any] = {"kb": kb} if kb is not None else {}
    if given:
        options[OPTION] = given
    if place.alone:
        options[ALONE] = True
    return turn_request(
        place.key, message=talk.message, create_session=place.create, options=options
    )


def _frames(turn: TurnRequest) -> Frames:
    submit(turn)
    return accepted(services().turns.follow(turn.key, turn.principal, after=0))


def _streamed(
    turn: TurnRequest, asked: ChatRequest, head: Mapping[str, Any], about: Mapping[str, Any]
) -> Response:
    telling = Telling(asked, streams=True)

    def form(*arguments: Any, **named: Any) -> ChunkStream:
        stream = ChunkStream(*arguments, **named)
        return stream.tell(telling, head=head, about=about, with_usage=asked.with_usage)

    return stream_answer(lambda: _frames(turn), turn_id=turn.key.turn_id, form=form)


def _waited(turn: TurnRequest, asked: ChatRequest) -> Telling:
    """Return the turn told to its end; raises ``StillRunning`` where that takes too long."""
    telling = Telling(asked, streams=False)
    clock = services().clock
    deadline_s = clock.monotonic_s() + JSON_WAIT_MAX_S
    frames = _frames(turn)
    try:
        for frame in frames:
            if frame is not None:
                for _ in telling.take(frame):
                    pass  # kept by ``telling``
                if frame.terminal:
                    return telling
            if clock.monotonic_s() >= deadline_s:
                break
    finally:
        frames.close()  # type: ignore[attr-defined]
    raise StillRunning("the answer takes longer; send the same request again, or use a stream")
