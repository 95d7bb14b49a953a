"""One WebSocket connection around a plain socket: the protocol is wsproto's, the bounds are ours.

Law 1: nothing is read that nobody asked for. What a peer sends meanwhile stays in the kernel, and
    TCP slows it down.
Law 2: nothing waits here to be sent. ``send`` returns when the kernel has all of it; a peer that
    takes no byte for ``CLIENT_STALL_S`` is cut off.
Law 3: who sends frames faster than ``SOCKET_FRAMES_PER_S`` is read as fast as that. Seven bytes of
    an empty frame cost us as much as a long one.
Law 4: every way a connection ends is told as ``ConnectionEnded``, once it is over, with the code
    that was said, or 1006 where none was.

One task calls ``receive``; any task may send, ping or close.
"""

import math
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from wsproto.connection import Connection as Protocol
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError

from kotaemon_node.domain import door_limits, limits

NORMAL: Final = 1000
UNSUPPORTED: Final = 1003
ABNORMAL: Final = 1006
POLICY: Final = 1008
TOO_BIG: Final = 1009
INTERNAL: Final = 1011
RESTART: Final = 1012

_AT_ONCE: Final = struct.pack("ii", 1, 0)  # close now and drop what was not sent


class ConnectionEnded(Exception):
    """The connection is over; ``code`` is the close code that was said, 1006 where none was."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code


class Connection:
    """A server's side of one connection whose handshake is done."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        message_bytes_max: int,
        arrived: bytes = b"",
        stall_s: float | None = None,
    ) -> None:
        """``arrived``: what was read behind the handshake already."""
        self._socket = sock
        self._stall_s = limits.CLIENT_STALL_S if stall_s is None else stall_s
        sock.settimeout(self._stall_s)
        self._bytes_max = message_bytes_max
        self._protocol = Protocol(ConnectionType.SERVER, trailing_data=arrived)
        self._events: Iterator[Event] = self._protocol.events()
        self._message = bytearray()
        self._sending = threading.Lock()
        self._readable: select.poll | None = None
        self._said: int | None = None
        self._said_at_s = 0.0
        self._over = False
        self._paid_at_s = 0.0
        """When the frames that were read are paid for, by the second."""
        self.pings_unanswered = 0
        """Pings sent since the peer's last pong."""

    # --- in -------------------------------------------------------------------------------------

    def receive(self, timeout_s: float) -> str | bytes | None:
        """Return the next message, None where none was whole within ``timeout_s``.

        What comes without end and is no message does not hold this up: each call reads at least
        once, and nothing behind its time. Pings are answered meanwhile. Raises
        ``ConnectionEnded``; what breaks the protocol, is not UTF-8 or longer than allowed has been
        told to the peer then.
        """
        deadline_s = time.monotonic() + timeout_s
        late = False
        while not self._over:
            for event in self._events:
                message = self._met(event)
                if message is not None:
                    return message
            if late or not self._read(deadline_s):
                return None
            late = time.monotonic() >= deadline_s
        raise ConnectionEnded(self._said or ABNORMAL)

    def _met(self, event: Event) -> str | bytes | None:
        """Act on one event; return a message that is whole now."""
        self._charge(event)
        if isinstance(event, Ping):
            self._put(event.response())
        elif isinstance(event, Pong):
            self.pings_unanswered = 0
        elif isinstance(event, CloseConnection):
            self._closed(event)
        elif isinstance(event, TextMessage | BytesMessage):
            return self._piece(event)
        return None

    def _piece(self, event: TextMessage | BytesMessage) -> str | bytes | None:
        data = event.data
        # One growing buffer: a list of a million pieces of one byte would be 60 MB.
        self._message += data.encode() if isinstance(data, str) else data
        if len(self._message) > self._bytes_max:
            self.close(TOO_BIG, f"a message may have {self._bytes_max} bytes")
            raise ConnectionEnded(TOO_BIG)
        if not event.message_finished:
            return None
        whole, self._message = bytes(self._message), bytearray()
        return whole.decode() if isinstance(event, TextMessage) else whole

    def _charge(self, event: Event) -> None:
        if isinstance(event, TextMessage | BytesMessage) and not event.message_finished:
            large = len(event.data) >= door_limits.SOCKET_SMALL_BYTES
            if large or not event.frame_finished:
                return
        since_s = max(self._paid_at_s, time.monotonic())
        self._paid_at_s = since_s + 1 / door_limits.SOCKET_FRAMES_PER_S

    def _wait_paid(self, until_s: float) -> bool:
        """Wait until the next frame may be read; False where it may not by ``until_s``."""
        at_once_s = door_limits.SOCKET_FRAMES_AT_ONCE / door_limits.SOCKET_FRAMES_PER_S
        now_s = time.monotonic()
        may_s = self._paid_at_s - at_once_s
        threading.Event().wait(max(0.0, min(may_s, until_s) - now_s))
        return may_s <= until_s

    def _closed(self, event: CloseConnection) -> None:
        if self._protocol.state is ConnectionState.OPEN:
            # Not the peer's: wsproto reports a fault of the peer's as the close that it calls for.
            self.close(int(event.code), str(event.reason or ""))
        else:
            with suppress(ConnectionEnded):
                self._put(event.response())
            self._finish()
        raise ConnectionEnded(int(event.code), str(event.reason or ""))

    def _read(self, deadline_s: float) -> bool:
        """Read what is there, waiting until ``deadline_s``; False: nothing came."""
        if self._readable is None:
            # Looked up here: in a pod this is gevent's, which lets others go on meanwhile.
            self._readable = select.poll()
            self._readable.register(self._socket.fileno(), select.POLLIN)
        close_s = math.inf if self._said is None else self._said_at_s + door_limits.SOCKET_CLOSE_S
        paid = self._wait_paid(min(deadline_s, close_s))
        wait_s = max(0.0, min(deadline_s, close_s) - time.monotonic())
        ready = paid and self._readable.poll(math.ceil(wait_s * 1000))
        if time.monotonic() >= close_s:
            self.abort()
            raise ConnectionEnded(ABNORMAL, "the peer did not close")
        if not ready:
            return False
        try:
            data = self._socket.recv(door_limits.SOCKET_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self.abort()
            raise ConnectionEnded(ABNORMAL, "the peer has left")
        self._protocol.receive_data(data)
        self._events = self._protocol.events()
        return True

    # --- out ------------------------------------------------------------------------------------

    def send(self, message: str | bytes) -> None:
        """Send one message; returns when the kernel has it. Raises ``ConnectionEnded``."""
        self._put(TextMessage(message) if isinstance(message, str) else BytesMessage(message))

    def ping(self) -> None:
        """Ask the peer for a sign of life. Raises ``ConnectionEnded``."""
        self._put(Ping())
        self.pings_unanswered += 1

    def say_close(self, code: int = NORMAL, reason: str = "") -> None:
        """Tell the peer to close, once; ``receive`` then ends within ``SOCKET_CLOSE_S``."""
        with suppress(ConnectionEnded):
            self._put(CloseConnection(code, reason))

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Tell the peer to close, wait for it a moment, and end; never raises."""
        self.say_close(code, reason)
        self._finish()

    def abort(self) -> None:
        """End at once; who waits in ``receive`` or ``send`` hears of it. Never raises."""
        self._over = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _put(self, event: Event) -> None:
        with self._sending:
            if self._over:
                raise ConnectionEnded(ABNORMAL)
            try:
                data = memoryview(self._protocol.send(event))
            except LocalProtocolError as error:  # a close was said, here or there
                raise ConnectionEnded(self._said or NORMAL) from error
            if isinstance(event, CloseConnection):
                self._said, self._said_at_s = int(event.code), time.monotonic()
            try:
                while data:
                    data = data[self._socket.send(data[: limits.CLIENT_PIECE_BYTES]) :]
            except OSError as error:
                self._cut_off()
                raise ConnectionEnded(ABNORMAL, "the peer took nothing") from error

    def _cut_off(self) -> None:
        # What it did not take would stay in the kernel for minutes; it can resume.
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.abort()

    def _finish(self) -> None:
        """Let the peer read what was said: closed over unread bytes, a socket resets instead."""
        if self._over:
            return
        self._over = True
        end_s = time.monotonic() + door_limits.SOCKET_CLOSE_S
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while (left_s := end_s - time.monotonic()) > 0:
                self._socket.settimeout(left_s)
                if not self._socket.recv(door_limits.SOCKET_READ_BYTES):
                    break
