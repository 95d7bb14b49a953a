"""One pool of connections and what goes over it: scripts, alone, many at once, or before reads."""

import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.connection import SSLConnection
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    RedisError,
)
from redis.retry import Retry

from kotaemon_node.adapters.redis.address import StoreAddress
from kotaemon_node.adapters.redis.cluster import ClusterClient
from kotaemon_node.adapters.redis.durability import (
    Durability,
    Level,
    Offer,
    Seal,
    Unconfirmed,
)
from kotaemon_node.adapters.redis.link import SharingClient, can_share
from kotaemon_node.adapters.redis.login import encryption, login
from kotaemon_node.adapters.redis.scripts import Scripts
from kotaemon_node.adapters.redis.sentinel import PrimaryClient
from kotaemon_node.adapters.redis.store_errors import store_error, store_errors
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import (
    StoreUnavailable,
)
from kotaemon_node.ports.cipher import FieldCipher, NoCipher

_RETRIES = 4  # of a call whose connection broke
_READING = {"look"}
"""Scripts that write nothing."""

Call = tuple[Sequence[str], Sequence[Any]]
"""Keys and arguments of one run of a script."""
Signal = tuple[str, str]
"""Channel and text of a message to those who listen now."""


Answered = Callable[[str, float], None]
"""Is told after how many seconds the store had answered; of which script, or ``read``."""


class RedisStore:
    """A client with its scripts. Thread safe.

    Scripts, and pipelines that ask for it, are confirmed as ``durability`` says before their
    callers go on; what was not raises ``StoreUnavailable``, and may be repeated.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        cipher: FieldCipher | None = None,
        durability: Level = "local",
        unconfirmed: Callable[[int], None] = lambda _: None,
        answered: Answered = lambda operation, duration_s: None,
    ) -> None:
        """``cipher`` seals what adapters on this store keep of what users and models wrote.

        ``unconfirmed`` is told how many scripts wrote what was not confirmed in time.
        """
        self.cipher: FieldCipher = cipher or NoCipher()
        # redis-py types each reply as a union over both protocols and asyncio, which says nothing.
        self.client: Any = client
        self._scripts = Scripts(client, clustered=isinstance(client, ClusterClient))
        self._durability = Durability(durability, offers=self._offers)
        self._unconfirmed = unconfirmed
        self._answered = answered

    def lacking(self) -> str:
        """Return why the store does not give its level of durability; "" once it was seen to."""
        return self._durability.lacking

    def check_durability(self) -> str:
        """Look whether it does, and return the same; raises ``NeverDurable`` where it never can."""
        with suppress(RedisError, StoreUnavailable):  # whatever it says, it is asked again
            self._durability.check()
        return self.lacking()

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script and return its reply."""
        with self._timed(script), store_errors():
            seal = self._durability.seal()
            try:
                return self._scripts.called(lambda: self._run(seal, script, keys, arguments))
            except Unconfirmed:
                if script not in _READING:
                    self._unconfirmed(1)
                raise

    def run_many(
        self, script: str, calls: Sequence[Call], *, signals: Sequence[Signal] = ()
    ) -> Sequence[Any]:
        """Run a script once for each (keys, arguments), in one round trip; replies in order.

        The reply of a call that failed is its error: the others have been made.
        ``signals``, one a call, are published behind the scripts, whatever those replied; where
        these have to be confirmed, afterwards, and only for those that were.
        """
        with self._timed(script), store_errors():
            seal = self._durability.seal()
            along = () if seal else signals
            replies = self._scripts.called(lambda: self._pipelined(seal, script, calls, along))
        if seal:
            if missed := sum(isinstance(reply, Unconfirmed) for reply in replies):
                self._unconfirmed(missed)
            self._tell(signals, replies)
        return [store_error(reply) if isinstance(reply, Exception) else reply for reply in replies]

    def run_before(
        self,
        script: str,
        keys: Sequence[str],
        arguments: Sequence[Any],
        fill: Callable[[Any], None],
    ) -> Any:
        """Run a script and return its reply; ``fill`` puts commands behind it, in the same trip.

        They are run whatever the script replied, and may be run twice. For what need not be
        confirmed: nothing is waited for.
        """

        def call() -> list[Any]:
            pipe = self.client.pipeline(transaction=False)
            pipe.evalsha(self._scripts.sha_of(script), len(keys), *keys, *arguments)
            fill(pipe)
            return self._execute(pipe, None, raise_on_error=False)

        with self._timed(script), store_errors():
            replies = self._scripts.called(call)
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
            return replies[0]

    def publish(self, channel: str, text: str) -> None:
        """Tell who listens now."""
        with store_errors():
            self.client.publish(channel, text)

    def pipelined(self, fill: Callable[[Any], None], *, confirmed: bool = False) -> list[Any]:
        """Let ``fill`` put commands on a pipeline, send it, and return the replies.

        ``confirmed``: what is read is to be shown, so nothing of it may be lost any more.
        """
        with self._timed("read"), store_errors():
            pipe = self.client.pipeline(transaction=False)
            fill(pipe)
            return self._execute(pipe, self._durability.seal() if confirmed else None)

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        """Note how long an answer took, be it an error: silence is what has to be seen."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self._answered(operation, time.perf_counter() - began_s)

    def _run(
        self, seal: Seal | None, script: str, keys: Sequence[str], arguments: Sequence[Any]
    ) -> Any:
        call = (self._scripts.sha_of(script), len(keys), *keys, *arguments)
        if seal is None:
            return self.client.evalsha(*call)
        pipe = self.client.pipeline(transaction=False)
        pipe.evalsha(*call)
        return self._execute(pipe, seal)[0]

    def _pipelined(
        self, seal: Seal | None, script: str, calls: Sequence[Call], signals: Sequence[Signal]
    ) -> list[Any]:
        pipe = self.client.pipeline(transaction=False)
        for keys, arguments in calls:
            pipe.evalsha(self._scripts.sha_of(script), len(keys), *keys, *arguments)
        for channel, text in signals:
            pipe.publish(channel, text)
        return self._execute(pipe, seal, raise_on_error=False)[: len(calls)]

    def _execute(self, pipe: Any, seal: Seal | None, *, raise_on_error: bool = True) -> list[Any]:
        replies: list[Any]
        if seal is None or isinstance(self.client, ClusterClient):
            if seal is not None:
                pipe.seal = seal
            replies = pipe.execute(raise_on_error=raise_on_error)
            return replies
        return seal.execute(pipe, raise_on_error=raise_on_error)

    def _tell(self, signals: Sequence[Signal], replies: Sequence[Any]) -> None:
        told = [
            signal
            for signal, reply in zip(signals, replies, strict=True)
            if not isinstance(reply, Exception)
        ]
        if not told:
            return
        pipe = self.client.pipeline(transaction=False)
        for channel, text in told:
            pipe.publish(channel, text)
        with suppress(RedisError):  # a hint: who follows looks again by itself
            pipe.execute(raise_on_error=False)

    def _offers(self) -> list[Offer]:
        servers = [self.client]
        if isinstance(self.client, ClusterClient):
            servers = [node.client for node in self.client.slots.primaries()]
        return [Offer.of(server) for server in servers]


def connect(
    url: str,
    *,
    pool_max: int = limits.REDIS_POOL_MAX,
    cipher: FieldCipher | None = None,
    durability: Level = "local",
    unconfirmed: Callable[[int], None] = lambda _: None,
    answered: Answered = lambda operation, duration_s: None,
    shared: bool = False,
) -> RedisStore:
    """Return a store at ``url``, whose forms are in ``address``; connects when first used.

    ``shared``: the tasks of this thread share a connection where they can (``link``), for many
    small calls at the same time. Raises ``ValueError`` for a URL that names none. The other
    arguments are ``RedisStore``'s.
    """
    client = _client(url, pool_max=pool_max, shared=shared)
    return RedisStore(
        client,
        cipher=cipher,
        durability=durability,
        unconfirmed=unconfirmed,
        answered=answered,
    )


def _client(url: str, *, pool_max: int, shared: bool) -> redis.Redis:
    address = StoreAddress.of(url)
    options: dict[str, Any] = {
        "max_connections": pool_max,
        "timeout": limits.REDIS_POOL_WAIT_S,
        "socket_timeout": limits.REDIS_TIMEOUT_S,
        "socket_connect_timeout": limits.REDIS_CONNECT_TIMEOUT_S,
        "health_check_interval": 15,
        "client_name": "kotaemon",
        "protocol": 2,
    }
    match address.kind:
        case "sentinel":
            return PrimaryClient.at(address, **options)
        case "cluster":
            if address.tls:
                options |= {"connection_class": SSLConnection, **encryption(address.files)}
            options |= login(address.credentials, address.password_file)
            return ClusterClient(address.hosts, options)
        case "single":
            # A restarted Redis is back in well under a second; a dead one must be told of soon. One
            # that is silent has had its time: redis-py tries again within each try, two minutes.
            backoff = ExponentialWithJitterBackoff(base=0.02, cap=0.3)
            retry = Retry(backoff, _RETRIES, supported_errors=(RedisConnectionError,))
            if address.tls:
                options["ssl_min_version"] = ssl.TLSVersion.TLSv1_2
            options |= login(address.credentials, address.password_file)
            pool = redis.BlockingConnectionPool.from_url(address.url, retry=retry, **options)
            if shared and can_share():
                return SharingClient.at(pool, backoff=backoff, retries=_RETRIES)
            return redis.Redis(connection_pool=pool)
