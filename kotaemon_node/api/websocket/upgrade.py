"""From a request to a WebSocket connection: the handshake, and the answer that serves it.

A credential was checked before the route, as for any other. All that can be refused is refused here
as an ordinary error with a status, before the protocol changes: a pod that is leaving or full is
then answered by the balancer, or the client, trying elsewhere.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any, Final

from flask import Response, request
from wsproto.utilities import generate_accept_token

from kotaemon_node.api.context import services, shared
from kotaemon_node.api.errors import UpgradeRequired
from kotaemon_node.api.limited import LimitedSlots, open_stream
from kotaemon_node.api.principal import same_place
from kotaemon_node.api.websocket.connection import Connection, ConnectionEnded
from kotaemon_node.domain.errors import Draining, Forbidden, Malformed, Unavailable

SOCKET: Final = "gunicorn.socket"
"""Where in a request's environment the server tells its socket."""
_VERSION: Final = "13"
_KEY_BYTES: Final = 16

Serve = Callable[[Connection], None]


def upgraded(serve: Serve, *, message_bytes_max: int) -> Response:
    """Return the answer that makes the request a connection and calls ``serve`` with it.

    ``serve`` runs in the request's context until the connection ends; ``ConnectionEnded`` may leave
    it. Raises ``UpgradeRequired``, ``Malformed``, ``Forbidden``, ``Draining`` and ``Overloaded``.
    """
    accept = _accepted_key()
    require_origin()
    if services().pod.draining:
        raise Draining("this pod is leaving")
    if SOCKET not in request.environ:
        raise Unavailable("this server hands over no sockets")
    slots = shared().streams
    slots.take()
    try:
        limited = LimitedSlots(slots, open_stream())
    except BaseException:
        slots.give_back()
        raise
    return SocketAnswer(serve, limited, accept=accept, message_bytes_max=message_bytes_max)


def require_origin() -> None:
    """Raise ``Forbidden`` where a page of another site made the browser connect.

    Browsers let any page open a connection to anywhere, with the cookies of that place, and always
    say where the page is from. Who says nothing is no browser, and has no cookie by accident.
    """
    origin = request.headers.get("Origin")
    if origin is None or origin.lower() in services().sockets.allowed_origins:
        return
    if not same_place(origin, request.host):
        raise Forbidden("pages of this origin may not connect; see WS_ALLOWED_ORIGINS")


def _accepted_key() -> str:
    """Return the proof that the handshake was understood; see RFC 6455, 4.2."""
    headers = request.headers
    if request.method != "GET" or headers.get("Upgrade", "").lower() != "websocket":
        raise UpgradeRequired("this route speaks WebSocket only")
    if "upgrade" not in {word.strip().lower() for word in headers.get("Connection", "").split(",")}:
        raise UpgradeRequired("the header Connection must hold Upgrade")
    if request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        raise UpgradeRequired("a WebSocket needs HTTP/1.1")
    if headers.get("Sec-WebSocket-Version", "").strip() != _VERSION:
        raise UpgradeRequired(f"Sec-WebSocket-Version must be {_VERSION}")
    key = headers.get("Sec-WebSocket-Key", "").strip()
    try:
        nonce = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        nonce = b""
    if len(nonce) != _KEY_BYTES:
        raise Malformed("Sec-WebSocket-Key must be 16 bytes in base64")
    return generate_accept_token(key.encode("ascii")).decode("ascii")


class SocketAnswer(Response):
    """An answer that is sent, and then lived, on the server's own socket.

    It ends with ``StopIteration``, by which gunicorn learns that nothing is left to be answered on
    this connection: it closes the socket and writes nothing.
    """

    def __init__(
        self, serve: Serve, slots: LimitedSlots, *, accept: str, message_bytes_max: int
    ) -> None:
        super().__init__(status=101)
        self._serve = serve
        self._bytes_max = message_bytes_max
        self._slots = slots
        for name in ("Content-Type", "Content-Length"):
            self.headers.pop(name, None)
        self.headers["Upgrade"] = "websocket"
        self.headers["Connection"] = "Upgrade"
        self.headers["Sec-WebSocket-Accept"] = accept

    def __call__(self, environ: dict[str, Any], _start_response: object) -> Iterable[bytes]:
        """Serve the connection to its end."""
        sock = environ[SOCKET]
        try:
            sock.sendall(self._head())
            self._serve(
                Connection(sock, message_bytes_max=self._bytes_max, arrived=_arrived(environ))
            )
        except (ConnectionEnded, OSError):
            pass  # the peer has left; whoever served it has been told
        finally:
            self._slots.give_back()
            self.close()
        raise StopIteration

    def _head(self) -> bytes:
        lines = [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode("latin-1")


def _arrived(environ: dict[str, Any]) -> bytes:
    """Return what the server read behind the head of the request: the first frames of a hasty peer.

    gunicorn keeps it where it reads bodies from; other servers keep nothing.
    """
    reader = getattr(environ.get("wsgi.input"), "reader", None)
    take = getattr(getattr(reader, "unreader", None), "take_buffered", None)
    return bytes(take()) if take is not None else b""
