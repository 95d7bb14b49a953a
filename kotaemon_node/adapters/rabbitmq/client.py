"""Opens connections of py-amqp on which nothing waits without a bound."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from amqp import Channel, Connection
from amqp.exceptions import AMQPError, MessageNacked

from kotaemon_node.adapters.rabbitmq.address import RabbitmqAddress

FAILURES: Final = (AMQPError, MessageNacked, OSError)
"""What a server that is away, hangs or refuses makes py-amqp raise."""

REPLY_TIMEOUT_S: Final = 3.0
_EXCHANGES: Final = "kotaemon."


def quieten() -> None:
    """Keep py-amqp's own lines out of the logs: the bus itself says that the server is away."""
    logging.getLogger("amqp").setLevel(logging.CRITICAL)


def opened(address: RabbitmqAddress, **options: Any) -> Connection:
    """Return a connection to the server. Raises one of ``FAILURES``."""
    connection = Connection(**address.options(), **options)
    try:
        connection.connect()
        # Whatever names no time of its own waits this long for the socket.
        connection.sock.settimeout(REPLY_TIMEOUT_S)
    except BaseException:
        dropped(connection)
        raise
    return connection


def dropped(connection: Connection) -> None:
    """Close the socket, saying nothing: the server gives up what was ours at once."""
    with suppress(*FAILURES):
        connection.collect()


@contextmanager
def lent(address: RabbitmqAddress, **options: Any) -> Iterator[Connection]:
    """Lend a connection. Raises one of ``FAILURES``."""
    connection = opened(address, **options)
    try:
        yield connection
    finally:
        dropped(connection)


def exchange(topic: str) -> str:
    """Return the name of the exchange that carries a topic."""
    return _EXCHANGES + topic


def topic_of(name: str) -> str:
    """Return the topic that an exchange carries."""
    return name.removeprefix(_EXCHANGES)


def ensure(channel: Channel, topic: str) -> None:
    """Make a topic's exchange where there is none. Raises one of ``FAILURES``."""
    channel.exchange_declare(exchange(topic), "fanout", durable=True, auto_delete=False)
