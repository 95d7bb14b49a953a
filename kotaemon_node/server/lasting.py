"""Answers that last are sent by a task of their own, which keeps nothing of their request.

The task that answers a request goes through the server, Flask and the application, and keeps what
memory the deepest call of that took for as long as it lives: for followers, who wait for hours in a
few calls, most of what they would cost. So it ends behind the answer's head, and a fresh one goes
on: it has a socket and an iterator.
"""

import socket
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any

import gevent
from gunicorn.http.body import LengthReader
from gunicorn.http.wsgi import Response

from kotaemon_node.domain import limits
from kotaemon_node.server.requests import CountedBody, in_pieces


class Lasts(StopIteration):
    """Raised through gunicorn's handling of a request, which this one exception passes."""

    def __init__(self, body: CountedBody) -> None:
        super().__init__()
        self.body = body


def may_last(body: object) -> bool:
    """Tell whether the answer with this body can be sent by another task.

    Not where the client has sent more than this request: those bytes are in the parser's hands. Nor
    where something stands between the application and gunicorn: it may want to see the answer.
    """
    if not isinstance(body, CountedBody) or not body.lasts:
        return False
    answer = _answer_of(body)
    if answer is None:
        return False
    request = answer.req
    reader = request.body.reader
    read = isinstance(reader, LengthReader) and reader.length == 0
    return read and not request.unreader.buf.getbuffer().nbytes


def begin(
    lasts: Lasts,
    connection: socket.socket,
    *,
    next_request: Callable[[socket.socket], None],
    over: Callable[[socket.socket], None],
    went_wrong: Callable[[socket.socket, BaseException], None],
) -> None:
    """Send the head and have a fresh task send the rest; ``connection`` is not usable any more.

    One of the three is called behind the answer, with the connection, and has to close it.
    """
    body = lasts.body
    try:
        answer = _answer_of(body)
        answer.send_headers()
        chunked, closes = answer.chunked, answer.should_close()
        body.start_response = None
        fresh = socket.socket(fileno=connection.detach())
    except BaseException:
        body.close()
        raise
    fresh.settimeout(limits.CLIENT_STALL_S)
    task = gevent.Greenlet(
        _send, fresh, body, chunked, went_wrong, over if closes else next_request
    )
    task.gr_context = copy_context()  # with the trace id that log lines have
    task.start()


def _answer_of(body: CountedBody) -> Any:
    """Return gunicorn's own view of the answer, None where somebody else took its head."""
    answer = getattr(body.start_response, "__self__", None)
    return answer if isinstance(answer, Response) else None


def _send(
    connection: socket.socket,
    body: CountedBody,
    chunked: bool,
    went_wrong: Callable[[socket.socket, BaseException], None],
    behind: Callable[[socket.socket], None],
) -> None:
    try:
        try:
            for item in body.items():
                send_all(connection, _framed(item) if chunked else in_pieces(item))
            if chunked:
                send_all(connection, [b"0\r\n\r\n"])
        finally:
            body.close()
    except Exception as error:  # noqa: BLE001 - nobody above this task could close the connection
        went_wrong(connection, error)
        return
    connection.settimeout(None)
    behind(connection)


def _framed(item: bytes) -> Iterable[bytes]:
    if len(item) <= limits.CLIENT_PIECE_BYTES:
        return (b"%x\r\n%b\r\n" % (len(item), item),) if item else ()
    return (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in in_pieces(item))


def send_all(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    """Send all, each piece within the time-out of the connection."""
    for piece in pieces:
        sent = connection.send(piece)
        if sent < len(piece):
            connection.sendall(memoryview(piece)[sent:])
