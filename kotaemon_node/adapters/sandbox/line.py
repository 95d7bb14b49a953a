"""The pod's end of the line to a plugin's process; nothing that comes over it is believed."""

import json
import socket
from collections.abc import Callable
from typing import Any, Final

import orjson

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.limits import JSON_DEPTH_MAX
from kotaemon_node.domain.nesting import deeper_than
from kotaemon_node.plugins.child.frames import LENGTH
from kotaemon_node.ports.runtime import Clock

_PIECE_BYTES: Final = 64 * 1024


class Ended(Exception):
    """The process closed the line: it has ended, or is about to."""


class Nonsense(Exception):
    """What came is no message of ours: too long, too deep, not JSON, at a wrong moment."""


def _said(message: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(message)
    except TypeError:  # numbers of more than 64 bits, halves of characters: slowly, then
        return json.dumps(message).encode()


class Line:
    """Messages to and from one process. Used by one task at a time."""

    def __init__(self, wire: socket.socket, *, clock: Clock) -> None:
        self._wire = wire
        self._clock = clock
        self._got = bytearray()
        wire.settimeout(limits.PLUGIN_TICK_S)

    def send(
        self,
        message: dict[str, Any],
        watch: Callable[[], None],
        *,
        descriptor: int | None = None,
    ) -> None:
        """Send an order or an answer; ``watch`` as in ``receive``.

        Raises ``Ended``, ``Nonsense`` for what is too long or is not read.
        """
        said = _said(message)
        if len(said) > limits.PLUGIN_MESSAGE_BYTES_MAX:
            raise Nonsense(f"an order of {len(said)} bytes")
        raw = LENGTH.pack(len(said)) + said
        try:
            if descriptor is not None:
                # Small enough to go at once: the descriptor is bound to the first byte.
                sent = socket.send_fds(self._wire, [raw], [descriptor])
                raw = raw[sent:]
            self._send_all(raw, watch)
        except TimeoutError:
            raise Nonsense("it does not read what it is told") from None
        except OSError as error:
            raise Ended(str(error)) from None

    def receive(self, watch: Callable[[], None]) -> dict[str, Any]:
        """Return the next message; ``watch`` is called every tick, and what it raises is raised.

        Raises ``Ended`` and ``Nonsense``.
        """
        tick_s = self._clock.monotonic_s() + limits.PLUGIN_TICK_S
        while (message := self._whole()) is None:
            try:
                piece = self._wire.recv(_PIECE_BYTES)
            except TimeoutError:
                piece = None
            except OSError as error:
                raise Ended(str(error)) from None
            if piece == b"":
                raise Ended("it closed its line")
            self._got += piece or b""
            if piece is None or self._clock.monotonic_s() >= tick_s:
                watch()
                tick_s = self._clock.monotonic_s() + limits.PLUGIN_TICK_S
        return message

    @property
    def quiet(self) -> bool:
        """Whether nothing waits that nobody asked for."""
        if self._got:
            return False
        self._wire.setblocking(False)
        try:
            return self._wire.recv(1, socket.MSG_PEEK) is None
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self._wire.settimeout(limits.PLUGIN_TICK_S)

    def hang_up(self) -> None:
        """Cut the line under whoever waits; any task may."""
        try:
            self._wire.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended by itself

    def _send_all(self, raw: bytes, watch: Callable[[], None]) -> None:
        view = memoryview(raw)
        began_s = self._clock.monotonic_s()
        tick_s = began_s + limits.PLUGIN_TICK_S
        while view:
            try:
                view = view[self._wire.send(view) :]
            except TimeoutError:
                if self._clock.monotonic_s() > began_s + limits.PLUGIN_CONNECT_S_MAX:
                    raise
            # Also where it reads a little now and then: it must not go unwatched by that.
            if view and self._clock.monotonic_s() >= tick_s:
                watch()
                tick_s = self._clock.monotonic_s() + limits.PLUGIN_TICK_S

    def _whole(self) -> dict[str, Any] | None:
        if len(self._got) < LENGTH.size:
            return None
        (size,) = LENGTH.unpack(self._got[: LENGTH.size])
        if size > limits.PLUGIN_MESSAGE_BYTES_MAX:
            raise Nonsense(f"an answer of {size} bytes")
        end = LENGTH.size + size
        if len(self._got) < end:
            return None
        raw = bytes(self._got[LENGTH.size : end])
        del self._got[:end]
        try:
            message = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise Nonsense("it is no JSON") from None
        if not isinstance(message, dict) or deeper_than(message, JSON_DEPTH_MAX + 1):
            raise Nonsense("it is no object, or too deep")
        return message
