"""One connection that many tasks share: what they ask at the same time goes out in one write.

A pool gives each caller a connection of its own; under load that is one system call each way, one
check whether the connection still stands and one timer for every command. Here commands of all
tasks are written in the order in which they came, and replies are handed out in that order, as
Redis guarantees (https://redis.io/docs/latest/develop/use/pipelining/). Nothing is held back to
make a batch: what came while the loop did something else goes together.

Law 1: a call gets the replies of exactly its own commands, or an error. A connection that fails in
       any way is closed and never used again, because what is still on its way is nobody's.
Law 2: calls on a connection that broke are repeated on a new one, as redis-py repeats them; a reply
       that is late is not waited for a second time.
Law 3: at most ``limits.REDIS_LINK_CALLS_MAX`` calls wait; further ones are refused.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

import gevent
import hiredis
import redis
from gevent import monkey
from gevent.event import AsyncResult, Event
from redis.backoff import AbstractBackoff
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MaxConnectionsError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from kotaemon_node.domain import limits

_native_thread: Callable[[], int] = monkey.get_original("_thread", "get_ident")

# What holds a connection until something happens, or changes what a connection is: it gets one of
# its own.
_ALONE: Final = frozenset(
    {
        "WAIT", "WAITAOF", "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "MONITOR", "AUTH",
        "HELLO", "SELECT", "QUIT", "RESET", "CLIENT", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE",
        "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "BLPOP", "BRPOP", "BLMOVE", "BLMPOP",
        "BZPOPMIN", "BZPOPMAX", "BZMPOP", "XREAD", "XREADGROUP",
    }
)  # fmt: skip

Command = tuple[Any, ...]


class _Call:
    """Commands of one task, in their order, and where their replies go."""

    __slots__ = ("commands", "final", "replies", "sent_s")

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = commands
        self.replies: Any = AsyncResult()
        self.final = False
        """An error of it is not worth another try: nothing could be sent, for as long as it was
        tried."""
        self.sent_s = 0.0
        """When it was sent, by ``time.monotonic``."""

    def fail(self, error: Exception, *, final: bool = False) -> None:
        """Let its caller know."""
        self.final = final
        self.replies.set_exception(error)


class Link:
    """The shared connection, made when it is first needed and again after it broke.

    For the tasks of the thread that made it; ``ours`` tells others that they need another way.
    """

    def __init__(self, make: Callable[[], Any], *, backoff: AbstractBackoff, retries: int) -> None:
        """``make`` returns a connection of redis-py that is not connected yet.

        ``backoff`` and ``retries``: for calls whose connection broke.
        """
        self._make = make
        self._backoff = backoff
        self._retries = retries
        self._thread = _native_thread()
        self._begun = False
        self._outbox: list[_Call] = []
        self._sent: deque[_Call] = deque()
        self._to_write = Event()
        self._to_read = Event()
        self._connection: Any = None

    @property
    def ours(self) -> bool:
        """Tell whether the calling thread is the one whose tasks share this."""
        return self._thread == _native_thread()

    def execute(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies in order; what Redis refused is its error in that place.

        Raises redis-py's errors for what got no replies.
        """
        failures = 0
        while True:
            call = self._submitted(commands)
            try:
                replies: list[Any] = call.replies.get()
            except RedisConnectionError:
                failures += 1
                if call.final or failures > self._retries:
                    raise
            else:
                return replies
            gevent.sleep(self._backoff.compute(failures))

    def drop(self) -> None:
        """Use another connection from now on; calls on their way are repeated."""
        self._break(self._connection, RedisConnectionError("the connection was given up"))

    def _submitted(self, commands: Sequence[Command]) -> _Call:
        if len(self._outbox) + len(self._sent) >= limits.REDIS_LINK_CALLS_MAX:
            raise MaxConnectionsError("too many calls wait for the store")
        if not self._begun:
            self._begun = True
            gevent.spawn(self._write)
            gevent.spawn(self._read)
        call = _Call(commands)
        self._outbox.append(call)
        self._to_write.set()
        return call

    def _write(self) -> None:
        while True:
            self._to_write.wait()
            self._to_write.clear()
            try:
                connection = self._connected()
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear
                calls, self._outbox = self._outbox, []
                for call in calls:
                    call.fail(error, final=True)
                continue
            calls, self._outbox = self._outbox, []
            self._send(connection, calls)

    def _send(self, connection: Any, calls: Sequence[_Call]) -> None:
        packed: list[bytes] = []
        sent_s = time.monotonic()
        for call in calls:
            try:
                own = [_packed(command) for command in call.commands]
            except Exception as error:  # noqa: BLE001 - what cannot be packed is its caller's bug
                call.fail(error, final=True)
                continue
            packed += own
            call.sent_s = sent_s
            # Before the write: replies may be here before that returns.
            self._sent.append(call)
        self._to_read.set()
        try:
            connection.send_packed_command([b"".join(packed)], check_health=False)
        except Exception as error:  # noqa: BLE001 - as above
            self._break(connection, error)

    def _read(self) -> None:
        while True:
            if not self._sent:
                self._to_read.clear()
                self._to_read.wait()
                continue
            connection, call = self._connection, self._sent[0]
            try:
                replies = [_reply(connection) for _ in call.commands]
            except Exception as error:  # noqa: BLE001 - a reader that ends strands every caller
                self._break(connection, error)
                continue
            if connection is self._connection:
                self._sent.popleft()
                call.replies.set(replies)

    def _connected(self) -> Any:
        if self._connection is None:
            connection = self._make()
            try:
                connection.connect()
            except BaseException:
                connection.disconnect()
                raise
            self._connection = connection
        return self._connection

    def _break(self, connection: Any, error: Exception) -> None:
        """Close a connection; all that was sent on it gets ``error``.

        Where a reply is late, only calls that have waited for long enough: it is those before that
        keep the others waiting, and they are repeated.
        """
        if connection is None or connection is not self._connection:
            return
        self._connection = None
        calls = list(self._sent)
        self._sent.clear()
        late_s = time.monotonic() - limits.REDIS_TIMEOUT_S
        for call in calls:
            if isinstance(error, RedisTimeoutError) and call.sent_s > late_s:
                call.fail(RedisConnectionError("a reply before this one was late"))
            else:
                call.fail(error)
        connection.disconnect()


def _packed(command: Command) -> bytes:
    """Return a command as it is sent.

    As redis-py's own packing, which looks at each argument for kinds of bytes that nobody gives:
    a tenth of all calls of functions in a turn.
    """
    name, *arguments = command
    packed: bytes = hiredis.pack_command((*name.split(), *arguments))
    return packed


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


class SharingClient(redis.Redis):
    """``redis.Redis`` whose tasks share one connection wherever that is possible.

    What needs a connection of its own, and other threads, get one from the pool.
    """

    link: Link

    @classmethod
    def at(cls, pool: redis.ConnectionPool, *, backoff: AbstractBackoff, retries: int) -> Self:
        """Return a client of the server that ``pool`` knows."""
        client = cls(connection_pool=pool)

        def make() -> Any:
            # Not the pool's own: it keeps every connection that it made, also one that failed.
            return pool.connection_class(**pool.connection_kwargs)

        client.link = Link(make, backoff=backoff, retries=retries)
        return client

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command; a lost reply makes it run twice."""
        if not self.shares([args]):
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        reply = self.link.execute([args])[0]
        if isinstance(reply, Exception):
            raise reply
        return self.shaped(reply, args[0], options)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        """Return a pipeline; it goes over the link unless it is a transaction."""
        pipe = _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipe.via = self
        return pipe

    def shares(self, commands: Sequence[Command]) -> bool:
        """Tell whether these may go over the link, from this thread."""
        return self.link.ours and all(
            str(command[0]).split(" ", 1)[0].upper() not in _ALONE for command in commands
        )

    def shaped(self, reply: Any, name: str, options: Mapping[str, Any]) -> Any:
        """Return a reply as redis-py would."""
        callbacks: Any = self.response_callbacks
        shape = callbacks.get(name)
        if shape is None or isinstance(reply, Exception):
            return reply
        return shape(reply, **{key: value for key, value in options.items() if key != "keys"})


class _Pipeline(Pipeline):
    via: SharingClient

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack = self.command_stack
        commands = [args for args, _ in stack]
        atomic: Any = self.transaction
        if atomic or self.watching or not stack or not self.via.shares(commands):
            return list(super().execute(raise_on_error=raise_on_error))
        try:
            replies = [
                self.via.shaped(reply, args[0], options)
                for reply, (args, options) in zip(
                    self.via.link.execute(commands), stack, strict=True
                )
            ]
            if raise_on_error:
                self.raise_first_error(stack, replies)  # type: ignore[no-untyped-call]
            return replies
        finally:
            self.reset()


def can_share() -> bool:
    """Tell whether tasks of this process wait without holding up each other."""
    return bool(monkey.is_module_patched("socket"))
