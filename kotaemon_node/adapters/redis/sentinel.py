"""The primary that the sentinels name: connections follow it when it changes."""

from typing import Any

import redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPoolProxy,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from kotaemon_node.adapters.redis.address import StoreAddress
from kotaemon_node.adapters.redis.login import encryption, login
from kotaemon_node.adapters.redis.patience import at_once, changing_hands, patiently

# A sentinel that is gone must cost less than the patience of those who ask it.
_SENTINEL_TIMEOUT_S = 0.5

_ERRORS = (RedisConnectionError, RedisTimeoutError, ResponseError)


class _Connection(SentinelManagedConnection):
    """Whoever is stopped while it waits for a reply must not leave the reply to the next one."""

    def read_response(self, *args: Any, **options: Any) -> Any:
        return super().read_response(*args, **{"disconnect_on_error": True, **options})


class _EncryptedConnection(SentinelManagedSSLConnection):
    """The same over TLS."""

    def read_response(self, *args: Any, **options: Any) -> Any:
        return super().read_response(*args, **{"disconnect_on_error": True, **options})


class PrimaryPool(redis.BlockingConnectionPool):
    """A bounded pool of connections to the primary of one service.

    redis-py has one as well, which raises where this one waits.
    """

    def __init__(
        self, service: str, sentinel: Sentinel, *, tls: bool = False, **options: Any
    ) -> None:
        kind: Any = _EncryptedConnection if tls else _Connection
        super().__init__(connection_class=kind, **options)  # type: ignore[no-untyped-call]
        proxy: Any = SentinelConnectionPoolProxy
        self._proxy = proxy(
            connection_pool=self,
            is_master=True,
            check_connection=True,
            service_name=service,
            sentinel_manager=sentinel,
        )
        self.connection_kwargs["connection_pool"] = self._proxy

    def owns_connection(self, connection: Any) -> bool:
        """Tell whether a connection that comes back is still one to the primary."""
        current = self._proxy.master_address == (connection.host, connection.port)
        return current and bool(super().owns_connection(connection))

    def drop_idle(self) -> None:
        """Have whoever asks next ask the sentinels first."""
        self.disconnect(inuse_connections=False)


class PrimaryClient(redis.Redis):
    """A client whose commands wait a moment for a new primary."""

    pool: PrimaryPool

    @classmethod
    def at(cls, address: StoreAddress, **options: Any) -> "PrimaryClient":
        """Return a client for the service that ``address`` names."""
        make: Any = Sentinel
        encrypted = encryption(address.files) if address.tls else {}
        own = {"password": address.sentinel_password} if address.sentinel_password else {}
        sentinel = make(
            address.hosts,
            sentinel_kwargs={
                "socket_timeout": _SENTINEL_TIMEOUT_S,
                "socket_connect_timeout": _SENTINEL_TIMEOUT_S,
                "retry": at_once(),
                "protocol": 2,
                **({"ssl": True, **encrypted} if address.tls else {}),
                **login(own, address.sentinel_password_file),
            },
        )
        pool = PrimaryPool(
            address.service,
            sentinel,
            db=address.db,
            retry=at_once(),
            tls=address.tls,
            **encrypted,
            **login(address.credentials, address.password_file),
            **options,
        )
        client = cls(connection_pool=pool)
        client.pool = pool
        return client

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command; a lost reply makes it run twice."""
        return self.follow(lambda: self._execute_command(*args, **options))  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        """Return a pipeline that is repeated as a whole."""
        pipe = _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipe.via = self
        return pipe

    def follow(self, attempt: Any) -> Any:
        """Repeat ``attempt`` while the primary changes."""

        def mend(_: Exception) -> None:
            # The connection that failed came back to the pool; the others are as old as it is.
            self.pool.drop_idle()

        return patiently(attempt, mend, errors=_ERRORS, retryable=changing_hands)


class _Pipeline(Pipeline):
    via: PrimaryClient

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack = list(self.command_stack)

        def attempt() -> list[Any]:
            self.command_stack = list(stack)
            replies = super(_Pipeline, self).execute(raise_on_error=False)
            for reply in replies:
                if isinstance(reply, ResponseError) and changing_hands(reply):
                    raise reply
            return replies

        replies: list[Any] = self.via.follow(attempt)
        if raise_on_error:
            self.raise_first_error(stack, replies)  # type: ignore[no-untyped-call]
        return replies
