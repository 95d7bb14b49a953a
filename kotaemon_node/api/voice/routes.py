"""``/ws/voice``: speech in, the turn's frames and speech out; and what of it this cluster has."""

import random
from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.context import services, shared
from kotaemon_node.api.query import read_query
from kotaemon_node.api.voice.conversation import VoiceConversation
from kotaemon_node.api.voice.forms import VoiceForm
from kotaemon_node.api.websocket.connection import Connection
from kotaemon_node.api.websocket.desk import Desk
from kotaemon_node.api.websocket.messages import SocketQuery
from kotaemon_node.api.websocket.pace import Pace
from kotaemon_node.api.websocket.upgrade import upgraded
from kotaemon_node.domain.door_limits import SOCKET_MESSAGE_BYTES_MAX
from kotaemon_node.domain.errors import Overloaded, SpeechOff

routes: Final = Blueprint("voice", __name__)

_TRY_LATER: Final = 1013


# The router tells requests for an upgrade apart; who asks for none is told so by the handshake.
@routes.get("/ws/voice", websocket=True)
@routes.get("/ws/voice")
def talk() -> Response:
    """Talk by voice over a WebSocket; text messages are those of `/ws/chat` and some more."""
    offer = services().voice
    try:
        offer.hears()
    except SpeechOff:
        offer.speaks()  # written questions with spoken answers are something, too
    offer.room.require()
    query = read_query(SocketQuery)
    desk = Desk(query.session_id)

    def serve(connection: Connection) -> None:
        conversation = VoiceConversation(
            connection,
            desk,
            offer,
            pace=Pace(
                chars_per_s=services().sockets.chars_per_s, acknowledging=query.ack == "true"
            ),
            slots=shared().streams,
            spread=random.randrange,
        )
        sockets = shared().sockets
        try:
            with offer.room.taken():
                sockets.add(conversation)
                conversation.run()
        except Overloaded as error:
            connection.close(_TRY_LATER, str(error))
        finally:
            sockets.remove(conversation)

    return upgraded(serve, message_bytes_max=SOCKET_MESSAGE_BYTES_MAX)


@routes.get("/v1/voice")
def read_voice() -> Response:
    """Show whether this cluster hears and speaks, and which languages and voices it has."""
    speech = services().voice.speech
    hears, speaks = speech.hears, speech.speaks
    return json_answer(
        VoiceForm(
            hears=hears is not None,
            speaks=speaks is not None,
            speech_to_text=hears.name if hears else "",
            languages=hears.languages if hears else (),
            text_to_speech=speaks.name if speaks else "",
            voices=speaks.voices if speaks else (),
        )
    )
