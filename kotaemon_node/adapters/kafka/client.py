"""Opens clients of kafka-python so that one which cannot begin leaves nothing running."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from kotaemon_node.adapters.kafka.address import KafkaAddress

C = TypeVar("C")

FAILURES: Final = (KafkaError, OSError)
"""What a broker that is away, hangs or refuses makes kafka-python raise."""


def quieten() -> None:
    """Keep kafka-python's own lines out of the logs.

    It writes several for each attempt at each connection; the bus itself says once that the broker
    is away and once that it is back.
    """
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def opened(make: Callable[..., C], address: KafkaAddress, **options: Any) -> C:
    """Return ``make(…)`` connected to the cluster. Raises one of ``FAILURES``.

    The constructors start a thread and then wait for a broker. Where none answers they raise and
    leave the thread behind, which would go on trying for ever: here it is ended.
    """
    begun: list[KafkaNetClient] = []

    def client(**configs: Any) -> KafkaNetClient:
        begun.append(KafkaNetClient(**configs))
        return begun[-1]

    try:
        return make(kafka_client=client, **address.options(), **options)
    except BaseException:
        for one in begun:
            one.close()
        raise


@contextmanager
def administrator(address: KafkaAddress) -> Iterator[KafkaAdminClient]:
    """Lend a client that creates and describes topics. Raises one of ``FAILURES``."""
    admin = opened(KafkaAdminClient, address)
    try:
        yield admin
    finally:
        admin.close()
