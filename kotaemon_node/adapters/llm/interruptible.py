"""An HTTP adapter whose waits for a response can be broken off by a turn's stop.

``requests`` gives nobody the socket before the response's head has come, and some servers send that
only with their first token. So the connections themselves say which socket they wait on.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from kotaemon_node.ports.runtime import StopSignal


class _Calling(threading.local):
    """The stop of the call that this task makes now."""

    stop: StopSignal | None = None


_calling: Final = _Calling()


@contextmanager
def stopped_by(stop: StopSignal) -> Iterator[None]:
    """Let ``stop`` break off what this task waits for on an ``InterruptibleAdapter``."""
    _calling.stop = stop
    try:
        yield
    finally:
        _calling.stop = None


def hang_up(connection: socket.socket) -> None:
    """End a connection under a reader that waits for it; the reader finds its end."""
    connection.shutdown(socket.SHUT_RDWR)


class _HttpConnection(HTTPConnection):
    def getresponse(self) -> Any:
        stop, waited_for = _calling.stop, self.sock
        if stop is None:
            return super().getresponse()
        with stop.breaking_off(lambda: hang_up(waited_for)):
            return super().getresponse()


class _HttpsConnection(HTTPSConnection, _HttpConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


_POOLS: Final = {"http": _HttpPool, "https": _HttpsPool}


class InterruptibleAdapter(HTTPAdapter):
    """``requests``' adapter; ``stopped_by`` reaches its calls before their response has begun."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager
