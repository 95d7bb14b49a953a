"""The undurable variant: a model's words are passed on, and kept nowhere.

Our own adapter reads the model and our own frames are sent, under gevent as in a pod; what is left
out is all that makes an answer survive: session, fence, store, group commit. ``RELAY_MODEL_URL``
names the model. ``RELAY_WINDOWS`` set: words come in the windows of a turn, a frame each, as where
frames are stored; else each word is a frame, as it comes.
"""

import os
from collections.abc import Iterator

from flask import Flask, Response, request

from kotaemon_node.adapters.llm.openai import Windows, make_language_model
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.api.sse import EVENT_STREAM, encoded
from kotaemon_node.domain.frames import Frame
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.windows import text_window_s
from kotaemon_node.ports.language_model import ChatMessage, Usage


def make_app() -> Flask:
    """Return the application."""
    app = Flask(__name__)
    windows = None
    if os.environ.get("RELAY_WINDOWS"):
        windows = Windows(text_window_s, SystemClock().sleep)
    address = os.environ["RELAY_MODEL_URL"]
    model = make_language_model(address, "", "paced", "none", windows=windows)

    def frames(message: str, turn: str) -> Iterator[bytes]:
        pieces = model.stream([ChatMessage("user", message)], prefix="", usage=Usage(), stop=Stop())
        offset = 0
        for number, piece in enumerate(pieces, start=1):
            assert isinstance(piece, str)
            fields = {"content": piece, "offset": offset}
            offset += len(piece)
            yield encoded(Frame("text", fields, turn, turn, number))
        yield encoded(Frame("done", {"state": "done"}, turn, turn, None))

    @app.post("/v1/sessions/<sid>/turns")
    def talk(sid: str) -> Response:
        asked = request.get_json()
        return Response(frames(asked["message"], asked["turn_id"]), mimetype=EVENT_STREAM)

    @app.get("/")
    def alive() -> Response:
        return Response("{}", mimetype="application/json")

    return app
