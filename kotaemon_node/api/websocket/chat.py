"""``/ws/chat``: conversations on one connection, with the frames that every door has."""

import random
from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.context import services, shared
from kotaemon_node.api.query import read_query
from kotaemon_node.api.websocket.connection import Connection
from kotaemon_node.api.websocket.conversation import Conversation
from kotaemon_node.api.websocket.desk import Desk
from kotaemon_node.api.websocket.messages import SocketQuery
from kotaemon_node.api.websocket.pace import Pace
from kotaemon_node.api.websocket.upgrade import upgraded
from kotaemon_node.domain.door_limits import SOCKET_MESSAGE_BYTES_MAX

routes: Final = Blueprint("websocket", __name__)


# The router tells requests for an upgrade apart; who asks for none is told so by the handshake.
@routes.get("/ws/chat", websocket=True)
@routes.get("/ws/chat")
def chat() -> Response:
    """Talk over a WebSocket: any number of turns and sessions on one connection."""
    query = read_query(SocketQuery)
    desk = Desk(query.session_id)

    def serve(connection: Connection) -> None:
        conversation = Conversation(
            connection,
            desk,
            pace=Pace(
                chars_per_s=services().sockets.chars_per_s, acknowledging=query.ack == "true"
            ),
            slots=shared().streams,
            spread=random.randrange,
        )
        sockets = shared().sockets
        sockets.add(conversation)
        try:
            conversation.run()
        finally:
            sockets.remove(conversation)

    return upgraded(serve, message_bytes_max=SOCKET_MESSAGE_BYTES_MAX)
