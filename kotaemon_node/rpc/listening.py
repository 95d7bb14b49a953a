"""Keeps a gRPC server at an address, whatever a caller sends.

gRPC's own loop ends at a call whose method is no UTF-8 (seen with grpcio 1.85): its server listens
no more, while its process goes on and looks well. One call would be enough to end the service for
all. So a server that ends unasked is followed by another at once. What the first had under way is
told to its end.
"""

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from kotaemon_node.domain import limits

LOOK_S: Final = 0.1
"""Between looks whether the server still listens."""
_BIND_S: Final = 5.0
"""For an address that a server just left to become free."""
_PAUSE_S: Final = 0.02
_ENDED_MAX: Final = 2
"""Servers that ended and still tell what they began: each may hold as many calls as a pod may."""
_GRPC_LOOP: Final = "aio/server.pyx.pxi"
_log = logging.getLogger(__name__)
Server = Any
"""``grpc.aio.Server``, of which there are no types."""


class Listening:
    """A server at one address, and those before it that still tell what they began."""

    def __init__(self, make: Callable[[], Server]) -> None:
        """``make``: returns a server with all its services, that has no port yet."""
        self._make = make
        self._server: Server = None
        self._address = ""
        self._left: list[asyncio.Task[None]] = []
        self.restarts = 0
        """How many servers ended unasked."""

    async def start(self, address: str) -> int:
        """Listen at ``address`` (HOST:PORT); return the port.

        Raises ``RuntimeError`` where the port is taken.
        """
        server = self._make()
        port: int = server.add_insecure_port(address)
        await server.start()
        self._server, self._address = server, f"{address.rpartition(':')[0]}:{port}"
        return port

    async def keep(self) -> None:
        """Have another server follow each that ends unasked, until this is cancelled.

        Raises ``RuntimeError`` where the address does not become free for it.
        """
        while True:
            try:
                await self._server.wait_for_termination(LOOK_S)
            except Exception as error:  # noqa: BLE001 - whatever it was: it must listen again
                _log.warning("the gRPC server ended unasked, another follows: %r", error)
                await self._follow()

    async def stop(self) -> None:
        """End every call at once."""
        for task in self._left:
            task.cancel()
        await asyncio.gather(*self._left, return_exceptions=True)
        if self._server is not None:
            await self._server.stop(None)

    async def _follow(self) -> None:
        ended = self._server
        try:
            async with asyncio.timeout(_BIND_S):
                while not await self._started():
                    await asyncio.sleep(_PAUSE_S)
        except TimeoutError as error:
            raise RuntimeError(f"{self._address} does not become free") from error
        self.restarts += 1
        self._left = [task for task in self._left if not task.done()]
        for task in self._left[: len(self._left) + 1 - _ENDED_MAX]:
            task.cancel()
        self._left.append(asyncio.create_task(self._leave(ended)))

    async def _started(self) -> bool:
        try:
            await self.start(self._address)
        except RuntimeError:
            return False
        return True

    async def _leave(self, server: Server) -> None:
        """Let it end what it began, for as long as a turn may take, or until this is cancelled."""
        try:
            await server.stop(limits.TURN_TIMEOUT_S)
        except asyncio.CancelledError:
            await server.stop(None)
            raise


def tell_once(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Handle what no task of a loop handled, as ``loop.set_exception_handler`` wants it.

    A task of gRPC's own fails with each server that ends; ``Listening`` has told of it.
    """
    error = context.get("exception")
    frames = traceback.extract_tb(error.__traceback__) if isinstance(error, Exception) else []
    if not frames or not frames[-1].filename.endswith(_GRPC_LOOP):
        loop.default_exception_handler(dict(context))
